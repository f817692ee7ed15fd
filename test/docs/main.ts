import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';
import { generatedFiles } from './generated-files.ts';

for (const [path, text] of Object.entries(generatedFiles)) {
  mkdirSync(join(packageRoot, dirname(path)), { recursive: true });
  writeFileSync(join(packageRoot, path), text());
}
