import { afterAll, beforeAll } from '@jest/globals';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { type TestGateway, type TestOptions, withGateway } from '../../gateway/testing/gateway.ts';
import { hasBrowser, startBrowser } from './chromium.ts';
import { StageGates } from './stage-gates.ts';
import { Visitor } from './visitor.ts';

let browser: Browser;

/** Starts a browser for the tests of the calling file, and closes it after them. */
export function shareBrowser(): void {
  beforeAll(async () => {
    if (hasBrowser) {
      browser = await startBrowser();
    }
  });
  afterAll(async () => {
    await browser?.close();
    await stopTestServer();
  });
}

interface Scene {
  gateway: TestGateway;
  gates: StageGates;
  visitor: Visitor;
  /** Opens another visitor's page, or another tab. */
  visit(options?: BrowserContextOptions & { path?: string }): Promise<Visitor>;
}

/** Runs `use` with a visitor on the page of a gateway whose stages can be paused. Needs {@link shareBrowser}. */
export function atThePage(
  use: (scene: Scene) => Promise<void>,
  options: BrowserContextOptions = {},
  gatewayOptions: TestOptions = {},
): Promise<void> {
  const gates = new StageGates();
  return withGateway(
    async (gateway) => {
      const visitors: Visitor[] = [];
      const visit: Scene['visit'] = async (visitOptions) => {
        const visitor = await Visitor.open(browser, gateway.server.httpAddress!, visitOptions);
        visitors.push(visitor);
        return visitor;
      };
      await use({ gateway, gates, visitor: await visit(options), visit });
      gates.open();
      for (const visitor of visitors) {
        await visitor.leave();
      }
    },
    { hooks: gates.hooks, httpAddress: '127.0.0.1:0', ...gatewayOptions },
  );
}
