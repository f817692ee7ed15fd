import { setFlagsFromString } from 'node:v8';

// Node 20 optimizes functions that run only while a program starts, a fifth of the start's CPU time. What runs for longer is
// still optimized soon. Newer versions wait longer by themselves and do not know this flag.
if (process.version.startsWith('v20.')) {
  setFlagsFromString('--interrupt-budget=500000');
}

// By itself, V8 marks the whole heap whenever it has grown by a few megabytes, eight times in a short video: a tenth of the
// processor time. Now it waits until the heap has grown by half, which takes one to two videos.
setFlagsFromString('--heap-growing-percent=50');
