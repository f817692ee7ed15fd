import nodeModule = require('node:module');
import path = require('node:path');
import url = require('node:url');

nodeModule.register(url.pathToFileURL(path.join(__dirname, 'globals-hook.js')));
// Most code of a test runs once, too. This saves an eighth of the tests' CPU time.
void import('../../cli/tune-runtime.ts');
let testFiles = 0;

/**
 * Jest's `runtime` on Node's own module loader. Jest would link every module again for each test file, which took longer than
 * most tests; here a worker loads a module once, and code runs with the classes and globals of production. The test files of a
 * worker therefore share modules, so each must close what it opens. There are no module mocks and no coverage.
 */
class NativeRuntime {
  unstable_shouldLoadAsEsm(): boolean {
    return true;
  }

  /** Runs a test file or a set-up file. The modules they import are loaded once per worker. */
  async unstable_importModule(file: string): Promise<unknown> {
    testFiles++;
    return import(`${url.pathToFileURL(file)}?run=${testFiles}`);
  }

  /** Loads the test framework afresh: it keeps the state of a test file in its module. */
  requireInternalModule(file: string): unknown {
    delete require.cache[require.resolve(file)];
    return require(file);
  }

  requireModule(file: string): unknown {
    return require(file);
  }

  setGlobalsForRuntime(globals: object): void {
    Object.assign(globalThis, globals);
  }

  getSourceMaps(): null {
    return null;
  }

  getAllCoverageInfoCopy(): undefined {
    return undefined;
  }

  enterTestCode(): void {}

  leaveTestCode(): void {}

  teardown(): void {}
}

export = NativeRuntime;
