import sequencer from '@jest/test-sequencer';
import { isLong } from './long-tests.ts';

// Its types describe the CommonJS module, which Node does not load here.
const Sequencer = sequencer as unknown as typeof sequencer.default;
type Sort = InstanceType<typeof Sequencer>['sort'];

/** Starts the long tests first, so that none of them runs on alone when the others are done. */
export default class LongTestsFirst extends Sequencer {
  override async sort(...[tests]: Parameters<Sort>): Promise<Awaited<ReturnType<Sort>>> {
    const sorted = await super.sort(tests);
    return [...sorted.filter(({ path }) => isLong(path)), ...sorted.filter(({ path }) => !isLong(path))];
  }
}
