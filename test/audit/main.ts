import { execFile } from 'node:child_process';
import { packageRoot } from '../../services/kit/package-root.ts';

/**
 * Asks the registry what is known against the packages of an installation. Ends with 1 when something high or critical is;
 * with 0 when nothing is, or when the registry could not be asked, which it says.
 */
interface Advisory {
  title: string;
  url: string;
  severity: string;
}

interface Report {
  /** Absent when the registry could not be asked. */
  vulnerabilities?: Record<string, { severity: string; range: string; via: (string | Advisory)[] }>;
  message?: string;
}

const timeoutMilliseconds = 120_000;
const report = await ask();
if (!report.vulnerabilities) {
  console.log(`NOT AUDITED: the registry could not be asked (${report.message ?? 'no answer'})`);
} else {
  const found = Object.entries(report.vulnerabilities);
  for (const [name, { severity, range, via }] of found) {
    const reasons = via.map((cause) =>
      typeof cause === 'string' ? `through ${cause}` : `${cause.title} ${cause.url}`,
    );
    console.log(`${severity}: ${name} ${range}: ${reasons.join('; ')}`);
  }
  const isGrave = found.some(([, { severity }]) => ['high', 'critical'].includes(severity));
  console.log(
    `audited: ${found.length} packages with known vulnerabilities${isGrave ? ', high or critical among them' : ''}`,
  );
  process.exitCode = isGrave ? 1 : 0;
}

function ask(): Promise<Report> {
  const args = ['audit', '--omit=dev', '--json', '--fetch-retries=1'];
  const options = { cwd: packageRoot, timeout: timeoutMilliseconds, shell: process.platform === 'win32' };
  return new Promise((resolve) => {
    // npm ends with 1 when it finds anything: what it prints counts.
    execFile('npm', args, { ...options, maxBuffer: 64 << 20 }, (error, stdout) => {
      try {
        resolve(JSON.parse(stdout) as Report);
      } catch {
        resolve({ message: error?.message.split('\n', 1)[0] ?? 'no answer' });
      }
    });
  });
}
