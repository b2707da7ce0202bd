/** package-root: the folder of the installed package, from wherever the code runs: source, compiled, or bundled. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The nearest folder above that holds a package.json with a name: the bundle has one that only says how its files are loaded. */
export function packageRoot(from: string = import.meta.dirname): string {
  return dirname(from) === from || isPackage(from) ? from : packageRoot(dirname(from));
}

function isPackage(folder: string): boolean {
  try {
    return readFileSync(join(folder, "package.json"), "utf8").includes('"name"');
  } catch {
    return false;
  }
}
