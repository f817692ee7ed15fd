import { execFile } from 'node:child_process';
import { packageRoot } from '../../services/kit/package-root.ts';

/**
 * Asks the registry for advisories about the installed packages. Exits with 1 if any is high or critical; otherwise, or
 * if the registry cannot be reached (which it reports), with 0.
 */
interface Advisory {
  title: string;
  url: string;
  severity: string;
}

interface Report {
  /** Absent if the registry could not be reached. */
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
    // npm exits with 1 whenever it finds anything, so its output decides.
    execFile('npm', args, { ...options, maxBuffer: 64 << 20 }, (error, stdout) => {
      try {
        resolve(JSON.parse(stdout) as Report);
      } catch {
        resolve({ message: error?.message.split('\n', 1)[0] ?? 'no answer' });
      }
    });
  });
}
