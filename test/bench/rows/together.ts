import { connectGrpc } from '../../../gateway/client/grpc-client.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { modelNames } from '../../../services/pipeline/preset.ts';
import { startSleepingMesh } from '../../scale/plan/sleeping-mesh.ts';
import { type Bench, costOf, secondsOf, untilDone } from '../bench.ts';
import { type Figure, type Measured, median } from '../figure.ts';

const fours = [0, 1, 2, 3];
const what = 'four jobs at once ÷ one after another';

/** Four videos at once, whose steps are batched, against one after another: here, and on devices that gain from batches. */
export async function measureTogether(bench: Bench): Promise<Measured> {
  const ratios: { seconds: number; processor: number }[] = [];
  await bench.client();
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`round ${round} of ${bench.options.rounds}`);
    const together = await costOf(() => Promise.all(fours.map(() => bench.make())));
    const inTurn = await costOf(async () => {
      for (const _ of fours) {
        await bench.make();
      }
    });
    ratios.push({
      seconds: together.seconds / inTurn.seconds,
      processor: together.processorSeconds / inTurn.processorSeconds,
    });
  }
  return {
    figures: [
      { what, value: median(ratios.map(({ seconds }) => seconds)), goal: { most: 1 } },
      { what: `${what}: processor time`, value: median(ratios.map(({ processor }) => processor)) },
      await onDevice(bench, 'where a batch of 4 takes 1.5 times as long as one', 1.5, { most: 0.5 }),
      await onDevice(bench, 'where batches are 1.15 times as fast, as on a compute-bound GPU', 4 / 1.15),
    ],
  };
}

/**
 * The same in the mesh as it is deployed, with backends that sleep instead of computing.
 *
 * @param longer how many times as long a batch of four requests takes as one request
 */
async function onDevice(bench: Bench, where: string, longer: number, goal?: Figure['goal']): Promise<Figure> {
  bench.progress(where);
  const scope = new Scope();
  // The first video runs alone.
  const itemsOfOne = new Map<string, number>();
  const secondsOfBatch = (model: string, items: number) => {
    itemsOfOne.set(model, itemsOfOne.get(model) ?? items);
    const requests = items / itemsOfOne.get(model)!;
    return (model === modelNames.keyframes ? 0.4 : 0.02) * (1 + ((requests - 1) * (longer - 1)) / 3);
  };
  try {
    const mesh = scope.add(
      await startSleepingMesh({
        preset: bench.preset,
        presetFile: bench.preset.name,
        replicas: { 'text-encoder': 1, keyframes: 1, interpolation: 1, decoder: 1 },
        backend: { maxBatchSize: 64, secondsOf: secondsOfBatch },
      }),
    );
    const client = scope.add(connectGrpc({ address: mesh.address }));
    let seed = 1n;
    const make = async () => {
      const { id } = await client.create({ prompt: 'a red circle', frameRate: 'low', seed: seed++ });
      await untilDone(client, id);
    };
    await make();
    const ratios: number[] = [];
    const joined: number[] = [];
    const device = mesh.backends.keyframes[0]!;
    for (let round = 0; round < bench.options.rounds; round++) {
      const before = device.work(modelNames.keyframes);
      const together = await secondsOf(() => Promise.all(fours.map(make)));
      const after = device.work(modelNames.keyframes);
      joined.push((after.items - before.items) / (after.batches - before.batches));
      const inTurn = await secondsOf(async () => {
        for (const _ of fours) {
          await make();
        }
      });
      ratios.push(together / inTurn);
    }
    const parts = { 'items in a batch of the keyframes, of 4': median(joined) };
    return { what: `${what} ${where}`, value: median(ratios), parts, ...(goal && { goal }) };
  } finally {
    await scope.close();
  }
}
