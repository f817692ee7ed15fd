// What the browser needs besides the compiled modules goes beside them.
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const target = fileURLToPath(new URL('../../dist/gateway/page/', import.meta.url));
for (const name of ['index.html', 'icon.svg', 'styles']) {
  cpSync(fileURLToPath(new URL(name, import.meta.url)), `${target}${name}`, { recursive: true });
}
