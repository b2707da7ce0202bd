/** package-root: the folder of the installed package, from wherever the code runs: source, compiled, or bundled. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The nearest folder above that holds a package.json. */
export function packageRoot(from: string = import.meta.dirname): string {
  if (existsSync(join(from, "package.json")) || dirname(from) === from) return from;
  return packageRoot(dirname(from));
}
