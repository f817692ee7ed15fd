import { measureQueues } from './queue.ts';
import { measureWatchers } from './watchers.ts';

await measureWatchers();
await measureQueues();
