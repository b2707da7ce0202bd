/**
 * ChunkLoader: loads the bundled files of the program as CommonJS, each with V8's cache of its compiled code beside it, so that Node need not compile them at every
 * start: that took a command as long as its own first steps.
 *
 * The build makes the caches by running the program. V8 refuses one that another Node, or one with other flags, has made; then the file is compiled as any other.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Script } from "node:vm";

/** Ends the name of a file's cache. */
export const CACHE_SUFFIX = ".cache";

/** Loads files that are CommonJS and ASCII, each once. */
export class ChunkLoader {
  /** What was compiled, by path. */
  readonly scripts: Map<string, Script> = new Map();
  readonly #exports = new Map<string, unknown>();

  /** What a file exports. @throws whatever reading or running it throws */
  load(path: string): unknown {
    if (this.#exports.has(path)) return this.#exports.get(path);
    const script = compile(path);
    this.scripts.set(path, script);
    const module = { exports: {} };
    // before it runs: files that name each other see what is there by then
    this.#exports.set(path, module.exports);
    const run = script.runInThisContext() as (...scope: unknown[]) => void;
    run(this.#requireFor(path), module, module.exports, path, dirname(path));
    this.#exports.set(path, module.exports);
    return module.exports;
  }

  #requireFor(path: string): (id: string) => unknown {
    const others = createRequire(path);
    return (id) => (id.startsWith(".") ? this.load(join(dirname(path), id)) : others(id));
  }
}

function compile(path: string): Script {
  const text = readFileSync(path, "latin1");
  return new Script(`(function (require, module, exports, __filename, __dirname) {${text}\n})`, {
    filename: path,
    cachedData: codeCache(`${path}${CACHE_SUFFIX}`),
  });
}

function codeCache(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
