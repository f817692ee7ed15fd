import { setFlagsFromString } from 'node:v8';

// Node 20 optimizes functions that run only while a program starts, a fifth of the start's CPU time. What runs for longer is
// still optimized soon. Newer versions wait longer by themselves and do not know this flag.
if (process.version.startsWith('v20.')) {
  setFlagsFromString('--interrupt-budget=500000');
}
