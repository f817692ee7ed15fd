/*
 * A program: write-optimized.js MODEL FILE. Loads a model and writes its graph, as ONNX Runtime optimizes it for any CPU, to a file,
 * with the weights beside it.
 */
import { openSession } from './open-session.ts';

const [modelFile, writesOptimized] = process.argv.slice(2) as [string, string];
const { session } = await openSession({ modelFile, intraOpThreads: 1, writesOptimized });
await session.release();
