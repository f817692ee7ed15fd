import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';

const axeSource = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

/** Time limit for anything to happen on the page, in milliseconds. */
const patience = 60_000;

/** A visitor at the page, and what their browser reported. */
export class Visitor {
  readonly page: Page;
  /** `http://host:port` of the gateway. */
  readonly origin: string;
  readonly #foreignRequests: string[] = [];
  readonly #errors: string[] = [];

  private constructor(page: Page, origin: string) {
    this.page = page;
    this.origin = origin;
    page.setDefaultTimeout(patience);
    page.context().on('request', (request) => {
      if (new URL(request.url().replace(/^blob:/, '')).origin !== origin) {
        this.#foreignRequests.push(request.url());
      }
    });
    page.on('pageerror', (error) => this.#errors.push(String(error)));
    page.on('console', (message) => {
      // Errors reported by a policy or the browser; failed requests are part of some tests.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        this.#errors.push(message.text());
      }
    });
  }

  /** Opens the page of a gateway at `address` (`host:port`), at a job when `path` names one. */
  static async open(browser: Browser, address: string, options: BrowserContextOptions & { path?: string } = {}) {
    const { path = '', ...contextOptions } = options;
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...contextOptions });
    const visitor = new Visitor(await context.newPage(), `http://${address}`);
    await visitor.page.goto(`http://${address}/${path}`);
    return visitor;
  }

  /** Closes the page and checks that no request went to another host and no error occurred. */
  async leave(): Promise<void> {
    await this.page.context().close();
    expect(this.#foreignRequests).toEqual([]);
    expect(this.#errors).toEqual([]);
  }

  /** Waits until exactly one such element is visible, containing this text if given. */
  async sees(selector: string, text?: string | RegExp): Promise<Locator> {
    const found = this.page.locator(selector, text === undefined ? {} : { hasText: text }).filter({ visible: true });
    await found.first().waitFor();
    return found.first();
  }

  async asksFor(prompt: string): Promise<void> {
    await this.page.fill('#prompt', prompt);
    await this.page.click('#create');
    await this.sees('.job-prompt', prompt);
  }

  /** The number that a stage's row shows. */
  seesStage(stage: string, count: string | RegExp): Promise<Locator> {
    return this.sees(`.stage[data-stage="${stage}"] .stage-count`, count);
  }

  /** Waits until `expression`, evaluated in the page, is true. */
  async waitsUntil(expression: string): Promise<void> {
    // Not `waitForFunction`: it evaluates texts as the page would, which the page's policy forbids.
    const end = Date.now() + patience;
    while (!(await this.page.evaluate(expression))) {
      if (Date.now() > end) {
        throw new Error(`Timed out waiting for: ${expression}`);
      }
      await this.page.waitForTimeout(20);
    }
  }

  /** How much wider the page is than the window, in pixels. */
  async sidewaysScroll(): Promise<number> {
    return this.page.evaluate('document.documentElement.scrollWidth - innerWidth');
  }

  /** Serious accessibility violations found by axe-core, as `rule: element`. */
  async seriousBarriers(): Promise<string[]> {
    await this.page.evaluate(axeSource);
    const { violations } = (await this.page.evaluate('axe.run(document)')) as AxeResults;
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
  }

  get jobId(): string {
    return new URL(this.page.url()).hash.slice(1);
  }

  /** The focused element: its label, and whether the focus is visible. */
  focus(): Promise<{ name: string; visible: boolean }> {
    return this.page.evaluate(`(() => {
      const element = document.activeElement;
      const label = element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent;
      // A radio button is drawn by what follows it, the slider by what is around it.
      const drawn = [element, element.nextElementSibling, element.parentElement].filter(Boolean);
      return {
        name: element.type === 'radio' ? element.value : label.trim(),
        visible: drawn.some((each) => {
          const { outlineStyle, boxShadow } = getComputedStyle(each);
          return outlineStyle !== 'none' || boxShadow !== 'none';
        }),
      };
    })()`);
  }
}
