/** Checks the project's imports against its layers; part of `npm run check`. */
import { packageRoot } from '../../services/kit/package-root.ts';
import { faultsOf, readImports, staleRules } from './check-imports.ts';

const imports = readImports(packageRoot);
const faults = [...faultsOf(imports), ...staleRules(imports, packageRoot)];
if (faults.length > 0) {
  process.stderr.write(`${faults.join('\n')}\n`);
  process.exitCode = 1;
}
