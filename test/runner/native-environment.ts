import type { EnvironmentContext, JestEnvironment, JestEnvironmentConfig } from '@jest/environment';
import { ModernFakeTimers } from '@jest/fake-timers';
import { ModuleMocker } from 'jest-mock';

/** Where Jest's test framework keeps the time limit and its listeners. */
const timeoutKey = Symbol.for('TEST_TIMEOUT_SYMBOL');
const listenersKey = Symbol.for('EVENT_HANDLERS');

/** Jest's `testEnvironment`: the process itself. Undoes what a test file changed in it: variables, mocks, timers, exit code. */
export default class NativeEnvironment implements Partial<JestEnvironment> {
  readonly global = globalThis as unknown as JestEnvironment['global'];
  readonly #env = process.env;
  readonly #variables = { ...process.env };
  readonly #console = globalThis.console;
  readonly #exit = process.exit;
  readonly #mocker = new ModuleMocker(globalThis);
  readonly #timers: ModernFakeTimers;

  constructor({ projectConfig }: JestEnvironmentConfig, _context: EnvironmentContext) {
    this.#timers = new ModernFakeTimers({ config: projectConfig, global: globalThis });
  }

  async setup(): Promise<void> {
    Object.assign(globalThis, {
      jest: {
        fn: this.#mocker.fn.bind(this.#mocker),
        spyOn: this.#mocker.spyOn.bind(this.#mocker),
        restoreAllMocks: () => this.#mocker.restoreAllMocks(),
        useFakeTimers: () => this.#timers.useFakeTimers(),
        useRealTimers: () => this.#timers.useRealTimers(),
        advanceTimersByTime: (milliseconds: number) => this.#timers.advanceTimersByTime(milliseconds),
        setTimeout: (milliseconds: number) => Object.assign(globalThis, { [timeoutKey]: milliseconds }),
      },
    });
  }

  async teardown(): Promise<void> {
    this.#mocker.restoreAllMocks();
    this.#timers.dispose();
    process.env = this.#env;
    restoreVariables(this.#variables);
    process.exit = this.#exit;
    process.exitCode = undefined;
    globalThis.console = this.#console;
    for (const key of [timeoutKey, listenersKey]) {
      Reflect.deleteProperty(globalThis, key);
    }
  }

  getVmContext(): null {
    return null;
  }

  exportConditions(): string[] {
    return ['node', 'node-addons'];
  }
}

function restoreVariables(variables: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env).filter((name) => !(name in variables))) {
    delete process.env[name];
  }
  Object.assign(process.env, variables);
}
