import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, cp, mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { usualKeepaliveSeconds } from '../../services/kit/channel.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { callCli } from '../support/cli.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

/**
 * Dry runs: there is no GPU or TensorRT, so stand-ins on PATH replace the programs that need them and record their
 * arguments. The scripts, bash and sha256sum are real.
 */
const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);
const models = ['interpolation_unet', 'keyframe_unet', 'movq_decoder', 'text_encoder'];

const programs = {
  trtexec: `printf '%s\\n' "$@" >>"$STANDINS/trtexec.log"
for argument; do
  case $argument in
    --onnx=*) onnx=\${argument#--onnx=} ;;
    --saveEngine=*) engine=\${argument#--saveEngine=} ;;
  esac
done
[[ -f $onnx && -f $(dirname "$onnx")/weights.safetensors ]] || exit 2
echo "engine of $onnx" >"$engine"
[[ ! -f $STANDINS/fails ]]`,
  'nvidia-smi': `cat "$STANDINS/compute_cap"`,
  ldconfig: `printf '\\tlibnvinfer.so.10 (libc6,x86-64) => %s\\n' "$STANDINS/libnvinfer.so.10"`,
  tritonserver: `printf '%s\\n' "$@" >"$STANDINS/tritonserver.log"`,
  fusionframes: `printf '%s\\n' "$*" >"$STANDINS/fusionframes.log"; [[ ! -f $STANDINS/differs ]]`,
};

async function setGpu(capability: string, tensorrt: string): Promise<void> {
  await writeFile(at('standins', 'compute_cap'), capability);
  await writeFile(at('standins', `libnvinfer.so.${tensorrt}`), '');
  await rm(at('standins', 'libnvinfer.so.10'), { force: true });
  await symlink(at('standins', `libnvinfer.so.${tensorrt}`), at('standins', 'libnvinfer.so.10'));
}

/** From copies without execute permission, as a config map is mounted. */
async function run(script: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn('bash', [at('scripts', script), ...args], {
    env: { ...process.env, PATH: `${at('standins', 'bin')}${delimiter}${process.env.PATH}`, STANDINS: at('standins') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

const log = async (program: string) => (await readFile(at('standins', `${program}.log`), 'utf8')).trim().split('\n');
const engineFile = (model: string, file: string) => at('repository', model, '1', file);

beforeAll(async () => {
  await mkdir(at('standins', 'bin'), { recursive: true });
  for (const [name, body] of Object.entries(programs)) {
    await writeFile(at('standins', 'bin', name), `#!/usr/bin/env bash\n${body}\n`);
    await chmod(at('standins', 'bin', name), 0o755);
  }
  await mkdir(at('scripts'));
  for (const script of ['engines.sh', 'build-engines.sh', 'verify-engines.sh', 'start.sh']) {
    await writeFile(at('scripts', script), await readFile(join(packageRoot, 'deploy', 'triton', script)), {
      mode: 0o644,
    });
  }
  await setGpu('9.0\n', '10.13.2');
  for (const target of ['tensorrt', 'onnxruntime']) {
    const { code, stderr } = await callCli(['models', 'build', tinyPreset, '--target', target, '-o', at(target)]);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error')]);
  }
  await cp(at('tensorrt'), at('repository'), { recursive: true });
  expect(await run('build-engines.sh', at('repository'))).toMatchObject({ code: 0 });
  await cp(at('repository'), at('compiled'), { recursive: true });
});

beforeEach(async () => {
  await setGpu('9.0\n', '10.13.2');
  await rm(at('repository'), { recursive: true });
  await cp(at('compiled'), at('repository'), { recursive: true });
  await rm(at('standins', 'tritonserver.log'), { force: true });
  await rm(at('standins', 'trtexec.log'), { force: true });
});

describe('compiling', () => {
  test("trtexec gets the graph's precision and profiles, and nothing else", async () => {
    await rm(at('repository'), { recursive: true });
    await cp(at('tensorrt'), at('repository'), { recursive: true });
    const { stdout, stderr } = await run('build-engines.sh', at('repository'));
    expect(stderr).toBe(
      'graphs were checked against the operators of TensorRT 10.1; here is 10.13.2, which may support others\n',
    );
    expect(stdout).toContain('keyframe_unet: compiling for compute capability 9.0 with TensorRT 10.13.2');
    const told = await log('trtexec');
    const start = told.indexOf(`--onnx=${engineFile('keyframe_unet', 'model.onnx')}`);
    expect(told.slice(start, start + 9)).toEqual([
      `--onnx=${engineFile('keyframe_unet', 'model.onnx')}`,
      `--saveEngine=${engineFile('keyframe_unet', 'model.plan.part')}`,
      `--timingCacheFile=${at('repository', 'timing-10.13.2-9.0.cache')}`,
      '--skipInference',
      '--stronglyTyped',
      '--profile=0',
      '--minShapes=latents:1x5x4x8x8,timestep:1x1,positions:1x5,context:1x1x16,context_mask:1x1,unconditional:1x1',
      '--optShapes=latents:2x5x4x8x8,timestep:2x1,positions:2x5,context:2x32x16,context_mask:2x32,unconditional:2x1',
      '--maxShapes=latents:8x5x4x8x8,timestep:8x1,positions:8x5,context:8x32x16,context_mask:8x32,unconditional:8x1',
    ]);
  });

  test('each engine has a manifest of itself and its inputs', async () => {
    const manifestOf = async (model: string) =>
      (await readFile(engineFile(model, 'engine.manifest'), 'utf8')).trim().split('\n');
    const lines = await manifestOf('movq_decoder');
    expect(lines.filter((line) => !line.startsWith('sha256'))).toEqual([
      'tensorrt 10.13.2',
      'compute_capability 9.0',
      'precision float32',
      'argument --stronglyTyped',
      'profile 64x64',
      'argument --profile=0',
      'argument --minShapes=latents:1x4x8x8',
      'argument --optShapes=latents:8x4x8x8',
      'argument --maxShapes=latents:32x4x8x8',
    ]);
    const hashed = (await manifestOf('text_encoder'))
      .filter((line) => line.startsWith('sha256'))
      .map((line) => line.split(' '));
    expect(hashed.map(([, , name]) => name)).toEqual([
      'model.plan',
      'converted.safetensors',
      'model.onnx',
      'trtexec.args',
      'weights.safetensors',
    ]);
    expect(hashed.every(([, hash]) => /^[0-9a-f]{64}$/.test(hash!))).toBe(true);
  });

  test('up-to-date engines are left alone; changed ones are compiled', async () => {
    await appendFile(engineFile('text_encoder', 'model.onnx'), 'x');
    const { code, stdout } = await run('build-engines.sh', at('repository'));
    expect(code).toBe(0);
    expect(stdout).toContain('keyframe_unet: up to date');
    expect((await log('trtexec')).filter((line) => line.startsWith('--onnx='))).toEqual([
      `--onnx=${engineFile('text_encoder', 'model.onnx')}`,
    ]);
    expect((await run('verify-engines.sh', at('repository'))).code).toBe(0);
  });

  test('another GPU recompiles everything', async () => {
    await setGpu('8.6\n', '10.13.2');
    expect((await run('build-engines.sh', at('repository'))).stdout).not.toContain('up to date');
    expect((await run('verify-engines.sh', at('repository'))).code).toBe(0);
  });

  test('a failing trtexec leaves nothing that could be mistaken for an engine', async () => {
    await writeFile(at('standins', 'fails'), '');
    await appendFile(engineFile('interpolation_unet', 'model.onnx'), 'x');
    const { code, stderr } = await run('build-engines.sh', at('repository'));
    await rm(at('standins', 'fails'));
    expect(code).toBe(1);
    expect(stderr).toContain(`build-engines.sh: ${at('repository', 'interpolation_unet', '1')}: trtexec failed\n`);
    expect(await readdir(at('repository', 'interpolation_unet', '1'))).not.toContain('model.plan.part');
    expect((await run('verify-engines.sh', at('repository'))).stderr).toContain(
      'interpolation_unet: there is no engine',
    );
  });

  test('different GPUs, a missing repository and a repository without engines are rejected', async () => {
    await setGpu('9.0\n8.6\n', '10.13.2');
    expect((await run('build-engines.sh', at('repository'))).stderr).toContain(
      'GPUs of one compute capability expected, found: 8.6, 9.0',
    );
    expect((await run('build-engines.sh')).stderr).toContain('no model repository given');
    expect((await run('build-engines.sh', at('nowhere'))).stderr).toContain('no such folder');
    await setGpu('9.0\n', '10.13.2');
    expect((await run('build-engines.sh', at('onnxruntime'))).stderr).toContain('no model has backend "tensorrt"');
  });
});

describe('verifying before load', () => {
  test('valid engines are served', async () => {
    const { code, stdout, stderr } = await run('start.sh', at('repository'), '--log-verbose=1');
    expect([code, stderr]).toEqual([0, '']);
    for (const model of models) {
      expect(stdout).toContain(`${model}: TensorRT 10.13.2, compute capability 9.0, hashes as written`);
    }
    expect(await log('tritonserver')).toEqual([
      `--model-repository=${at('repository')}`,
      '--disable-auto-complete-config',
      '--model-control-mode=none',
      '--exit-on-error=true',
      '--strict-readiness=true',
      '--model-load-thread-count=1',
      '--grpc-http2-min-recv-ping-interval-without-data=10000',
      '--exit-timeout-secs=60',
      '--log-verbose=1',
    ]);
  });

  test("a server's numbers are compared after the files", async () => {
    const verify = () => run('verify-engines.sh', at('repository'), 'gpu:8001');
    expect(await verify()).toMatchObject({ code: 0, stderr: '' });
    expect(await log('fusionframes')).toEqual([`models verify ${at('repository')} --address gpu:8001 --wait 600`]);
    await writeFile(at('standins', 'differs'), '');
    const { code, stderr } = await verify();
    await rm(at('standins', 'differs'));
    expect([code, stderr]).toEqual([1, 'verify-engines.sh: gpu:8001: numbers not verified\n']);
  });

  test('a serving host needs neither graph nor weights', async () => {
    await rm(engineFile('keyframe_unet', 'weights.safetensors'));
    await rm(engineFile('keyframe_unet', 'model.onnx'));
    expect((await run('verify-engines.sh', at('repository'))).code).toBe(0);
  });

  test('every fault of every engine is reported, and Triton does not start', async () => {
    await appendFile(engineFile('keyframe_unet', 'weights.safetensors'), 'x');
    await truncate(engineFile('interpolation_unet', 'model.plan'), 3);
    await rm(engineFile('movq_decoder', 'model.plan'));
    await writeFile(engineFile('text_encoder', 'other.safetensors'), '');
    const { code, stderr } = await run('start.sh', at('repository'));
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toEqual([
      'interpolation_unet: model.plan is not what engine.manifest says',
      'keyframe_unet: weights.safetensors is not what engine.manifest says',
      'movq_decoder: there is no engine; build-engines.sh compiles it',
      'text_encoder: other.safetensors has come since the engine was compiled',
      `verify-engines.sh: ${at('repository')}: not loaded`,
    ]);
    expect(await readdir(at('standins'))).not.toContain('tritonserver.log');
  });

  test('engines of another TensorRT version or for another GPU are rejected', async () => {
    await setGpu('8.9\n', '10.14.0');
    const { code, stderr } = await run('verify-engines.sh', at('repository'));
    expect(code).toBe(1);
    expect(stderr).toContain('keyframe_unet: the engine is of TensorRT 10.13.2, here is 10.14.0');
    expect(stderr).toContain('keyframe_unet: the engine is for compute capability 9.0, here is 8.9');
  });

  test('the CPU variant of the repository needs no GPU', async () => {
    await setGpu('', '10.13.2');
    const { code, stdout } = await run('start.sh', at('onnxruntime'));
    expect([code, stdout]).toEqual([0, models.map((name) => `${name}: no engine, hashes as written\n`).join('')]);
    const options = await log('tritonserver');
    expect(options).toContain('--allow-gpu-metrics=false');
    const interval = options.find((each) => each.startsWith('--grpc-http2-min-recv-ping-interval-without-data='))!;
    // Half of it: a ping that arrives early is not counted.
    expect(Number(interval.split('=')[1])).toBe((usualKeepaliveSeconds * 1000) / 2);
  });

  test('a portable model that has changed since it was built is not served', async () => {
    await cp(at('onnxruntime'), at('damaged'), { recursive: true });
    await appendFile(at('damaged', 'movq_decoder', '1', 'weights.safetensors'), 'x');
    await rm(at('damaged', 'text_encoder', '1', 'model.onnx'));
    const { code, stderr } = await run('start.sh', at('damaged'));
    expect(code).toBe(1);
    expect(stderr).toContain('movq_decoder: 1/weights.safetensors is not what manifest.json says\n');
    expect(stderr).toContain('text_encoder: 1/model.onnx is missing\n');
    await expect(log('tritonserver')).rejects.toThrow('ENOENT');
  });

  test("a manifest that is cut off or malformed is refused; another program's is not ours to check", async () => {
    await cp(at('onnxruntime'), at('cut'), { recursive: true });
    const path = at('cut', 'movq_decoder', 'manifest.json');
    const whole = await readFile(path, 'utf8');
    const lines = whole.trimEnd().split('\n');
    const parsed = JSON.parse(whole);
    const damage = [
      '',
      ...lines.map((_, index) => `${lines.slice(0, index).join('\n')}\n`),
      whole.slice(0, whole.indexOf('sha256') + 30),
      whole.replace(/"sha256": "[0-9a-f]{3}/, '"sha256": "'),
      whole.replace(/,?\n *"sha256".*/, ''),
      JSON.stringify({ ...parsed, files: {} }, undefined, 2),
      JSON.stringify(parsed),
      `${whole}{`,
    ];
    // One shell for all: each would take as long as a mesh's start.
    await Promise.all(damage.map((text, index) => writeManifest(index, text)));
    await writeManifest(damage.length, whole);
    await writeManifest(damage.length + 1, '{"name": "other"}\n');
    const { files, ...facts } = parsed;
    const lora = { file: 'ink.safetensors', sha256: 'f'.repeat(64), scale: 0.5, weights: 1 };
    const versions = { 2: { sources: 'x', loras: [lora] } };
    const changed = `${JSON.stringify({ ...facts, loras: [lora], versions, files }, undefined, 2)}\n`;
    await writeManifest(damage.length + 2, changed);
    await writeManifest(damage.length + 3, changed.slice(0, changed.indexOf('  "files"')));
    async function writeManifest(index: number, text: string): Promise<void> {
      await mkdir(at('manifests', String(index)), { recursive: true });
      await cp(at('cut', 'movq_decoder', '1'), at('manifests', String(index), '1'), { recursive: true });
      await writeFile(at('manifests', String(index), 'manifest.json'), text);
    }
    await writeFile(
      at('scripts', 'all.sh'),
      `source "$1/engines.sh"; cd "$2"; for each in *; do echo "$each $(manifest_faults "$each")"; done\n`,
    );
    const { stdout } = await run('all.sh', at('scripts'), at('manifests'));
    const faults = new Map(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => [Number(line.split(' ')[0]), line.replace(/^\d+ /, '')]),
    );
    const damaged = "manifest.json is damaged, or not as 'fusionframes models build' writes it";
    expect(damage.map((_, index) => faults.get(index))).toEqual(damage.map(() => damaged));
    expect([0, 1, 2, 3].map((more) => faults.get(damage.length + more))).toEqual(['', '', '', damaged]);
  });

  test("an engine's manifest that names no TensorRT or GPU is refused", async () => {
    const path = engineFile('movq_decoder', 'engine.manifest');
    await writeFile(path, (await readFile(path, 'utf8')).replace(/^tensorrt .*\n/, ''));
    const { code, stderr } = await run('verify-engines.sh', at('repository'));
    expect([code, stderr]).toEqual([1, expect.stringContaining('movq_decoder: engine.manifest is incomplete')]);
  });
});
