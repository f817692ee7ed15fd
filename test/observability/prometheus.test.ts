import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { VideoServiceDefinition } from '../../proto/gen/fusionframes/v1/video.ts';
import { connect } from '../../services/kit/channel.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { createAuthority } from '../../services/kit/testing/certificates.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { awaitEachStage } from '../../services/pipeline/stages.ts';
import { eventually, type ServiceProcess, startService } from '../support/cli.ts';
import { freePorts } from '../support/free-ports.ts';
import { stageEnvironment } from '../support/stage-environment.ts';

const version = /version ((\d+)\.\S+)/.exec(spawnSync('prometheus', ['--version'], { encoding: 'utf8' }).stdout ?? '');
const isInstalled = version !== null;
const manifest = join(packageRoot, 'deploy', 'kubernetes', 'components', 'observability', 'prometheus.yaml');
const pinned = /image: \S+\/prometheus:v((\d+)\.\S+)/.exec(readFileSync(manifest, 'utf8'))!;
if (!isInstalled) {
  console.warn('The queries of alerts and dashboard are not tried: there is no prometheus here');
} else if (version[2] !== pinned[2]) {
  console.warn(
    `The queries of alerts and dashboard are tried on Prometheus ${version[1]}, but ${pinned[1]} is deployed`,
  );
}
const whereInstalled = isInstalled ? test : test.skip;

const deploy = join(packageRoot, 'deploy', 'observability');
const rules = (
  parse(readFileSync(join(deploy, 'alerts.yaml'), 'utf8')) as { groups: { rules: { alert: string; expr: string }[] }[] }
).groups.flatMap((group) => group.rules);
const panels = (
  JSON.parse(readFileSync(join(deploy, 'dashboard.json'), 'utf8')) as {
    panels: { targets?: { expr: string }[] }[];
  }
).panels;
const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

// Prometheus 2 keeps `le="300"` as it is scraped, Prometheus 3 makes it `le="300.0"`.
test('bounds of histograms are found in every version of Prometheus', () => {
  const exact = [...queries, ...rules.map(({ expr }) => expr)].filter((expr) => /\ble="\d+(\.0)?"/.test(expr));
  expect(exact).toEqual([]);
});

const withInterval = (expr: string) => expr.replaceAll('$__rate_interval', '2m');

const scope = scopeOfAllTests();
let folder: string;
let prometheus: ChildProcess;
let address: string;
const services: ServiceProcess[] = [];

beforeAll(async () => {
  if (!isInstalled) {
    return;
  }
  folder = temporaryFolder(scope);
  scope.defer(async () => {
    prometheus?.kill('SIGKILL');
    stopTritonMetrics();
    await Promise.all(services.map((service) => service.stop()));
  });
  await chmod(folder, 0o755);
  const [port, tritonPort, ...metricsPorts] = await freePorts(9);
  address = `http://127.0.0.1:${port}`;
  await startTritonMetrics(tritonPort!);
  await runMesh(metricsPorts);
  await writeFile(
    join(folder, 'prometheus.yaml'),
    // A scrape may take as long as the time to the next one.
    `global: { scrape_interval: 5s, evaluation_interval: 1s }
rule_files: [${join(deploy, 'alerts.yaml')}]
scrape_configs:
  - job_name: fusionframes
    static_configs:
      - targets: [${metricsPorts.map((each) => `"127.0.0.1:${each}"`).join(', ')}]
        labels: { app_kubernetes_io_part_of: fusionframes }
      - targets: ["127.0.0.1:${tritonPort}"]
        labels: { app_kubernetes_io_part_of: fusionframes, app_kubernetes_io_name: keyframes-backend }
`,
  );
  prometheus = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yaml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  await eventually(() =>
    fetch(`${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
});

/**
 * A stand-in for NVIDIA's Triton: serves metrics with the names and labels from its manual, for a model that is always
 * busy.
 */
async function startTritonMetrics(port: number): Promise<void> {
  const counters = ['request_success', 'count', 'exec_count', 'queue_duration_us', 'compute_infer_duration_us'];
  let asked = 0;
  const model = '{model="keyframe_unet",version="1"}';
  const server = createServer((_, response) => {
    asked++;
    const counts = counters.map(
      (name) => `# TYPE nv_inference_${name} counter\nnv_inference_${name}${model} ${asked}\n`,
    );
    const waiting = `# TYPE nv_inference_pending_request_count gauge\nnv_inference_pending_request_count${model} 3\n`;
    const gpu = '# TYPE nv_gpu_utilization gauge\nnv_gpu_utilization{gpu_uuid="GPU-1"} 0.9\n';
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(counts.join('') + waiting + gpu);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  stopTritonMetrics = () => void server.close().closeAllConnections();
}

let stopTritonMetrics = () => {};

/** Every process as in a cluster; the keyframes stage accepts one call at a time, so that some are refused. */
async function runMesh(metricsPorts: readonly number[]): Promise<void> {
  let next = 0;
  const start = async (name: string, environment: Record<string, string>) => {
    const metrics = { FUSIONFRAMES_METRICS_ADDRESS: `127.0.0.1:${metricsPorts[next++]}` };
    const service = await startService(name, { FUSIONFRAMES_LOG_LEVEL: 'silent', ...metrics, ...environment });
    services.push(service);
    httpAddress = service.httpAddress ?? httpAddress;
    return service.address;
  };
  const inference = await start('inference', {});
  const stages = await awaitEachStage((name) =>
    start(name, {
      FUSIONFRAMES_INFERENCE_ADDRESS: inference,
      ...(name === 'keyframes' && { FUSIONFRAMES_MAX_CONCURRENT_CALLS: '1' }),
    }),
  );
  const gateway = (environment: Record<string, string>) =>
    start('gateway', { ...stageEnvironment(stages), ...environment });
  healthy = connect(VideoServiceDefinition, await gateway({}));
  // Its jobs fail: its stages know no certificates.
  const { ca, files } = await makeCertificate();
  const settings = { FUSIONFRAMES_KEYFRAMES_ADDRESS: '127.0.0.1:9', FUSIONFRAMES_PROGRESS_TIMEOUT_SECONDS: '1' };
  broken = connect(VideoServiceDefinition, await gateway({ ...settings, ...files }), { tls: { ca } });
}

async function makeCertificate() {
  const authority = createAuthority();
  const texts = { ...authority.issue('gateway', ['127.0.0.1']), ca: authority.certificate };
  const files = Object.entries(texts).map(async ([name, text]) => {
    const path = join(folder, `${name}.pem`);
    await writeFile(path, text);
    return [`FUSIONFRAMES_TLS_${name.toUpperCase()}`, path] as const;
  });
  return { ca: texts.ca, files: Object.fromEntries(await Promise.all(files)) };
}

let httpAddress: string;
let healthy: ReturnType<typeof connect<VideoServiceDefinition>>;
let broken: ReturnType<typeof connect<VideoServiceDefinition>>;

/** A small video to its end, with previews. */
async function makeVideo({ client }: typeof healthy): Promise<void> {
  const settings = { prompt: 'a red circle', keyframes: { steps: 2 }, interpolation: { steps: 1 } };
  const { video } = await client.createVideo({ settings, previews: true });
  await (await fetch(`http://${httpAddress}/v1/videos`)).text();
  for await (const _ of client.watchVideo({ id: video!.id })) {
    // To the end.
  }
}

async function ask(path: string): Promise<{ status: string; error?: string; data: Record<string, unknown> }> {
  return (await (await fetch(`${address}/api/v1/${path}`)).json()) as never;
}

async function resultsOf(query: string): Promise<number> {
  const { status, error, data } = await ask(`query?query=${encodeURIComponent(query)}`);
  if (status !== 'success') {
    throw new Error(`${query}: ${error}`);
  }
  return (data.result as { value: [number, string] }[]).filter(({ value }) => value[1] !== 'NaN').length;
}

whereInstalled(
  'every query of the dashboard and of the alerts finds series',
  async () => {
    const missing = new Set<string>([...queries, ...rules.map(({ alert }) => alert)]);
    const end = Date.now() + 600_000;
    let isLoaded = true;
    const load = (async () => {
      while (isLoaded) {
        const videos = [makeVideo(healthy), makeVideo(healthy), makeVideo(healthy), makeVideo(broken)];
        // Servers end connections after a minute, and with them a watch that starts just then: it is only load.
        await Promise.allSettled(videos);
      }
    })();
    while (missing.size > 0 && Date.now() < end) {
      for (const expr of queries) {
        if (missing.has(expr) && (await resultsOf(withInterval(expr))) > 0) {
          missing.delete(expr);
        }
      }
      for (const { alert, expr } of rules) {
        if (missing.has(alert) && (await findsItsSeries(expr))) {
          missing.delete(alert);
        }
      }
    }
    isLoaded = false;
    await load;
    expect([...missing]).toEqual([]);
    const { data } = await ask('rules');
    const health = (data.groups as { rules: { name: string; health: string; lastError?: string }[] }[]).flatMap(
      (group) => group.rules.map(({ name, health, lastError }) => ({ name, health, lastError })),
    );
    expect(health).toEqual(rules.map(({ alert }) => ({ name: alert, health: 'ok' })));
    healthy.close();
    broken.close();
  },
  900_000,
);

whereInstalled('each alert fires when it should and is silent when it should be', () => {
  const file = join(deploy, 'alerts.test.yaml');
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
  expect({ status, said: stdout + stderr }).toMatchObject({ status: 0 });
  const { tests } = parse(readFileSync(file, 'utf8')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
  };
  const fired = tests.flatMap(({ alert_rule_test: cases }) => cases.filter(({ exp_alerts }) => exp_alerts.length > 0));
  expect([...new Set(fired.map(({ alertname }) => alertname))].sort()).toEqual(rules.map(({ alert }) => alert).sort());
});

/** An alert is silent while all is well, so its series are queried individually. */
async function findsItsSeries(expr: string): Promise<boolean> {
  const series = expr
    .replace(/\b(by|on|group_left) \([^)]*\)/g, '')
    .match(/\b(?:fusionframes_\w+|nv_\w+|up)\b(?:\{[^}]*\})?/g);
  const counts = await Promise.all((series ?? []).map((each) => resultsOf(each)));
  return counts.length > 0 && counts.every((count) => count > 0);
}
