// Makes node_modules/.bin/theriac in the clone itself: npm links a package's own bin only where it is a dependency.
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const modules = join(root, "node_modules");
chmodSync(join(root, "dist/cli/main.js"), 0o755);
if (existsSync(modules)) {
  const bin = join(modules, ".bin");
  mkdirSync(bin, { recursive: true });
  rmSync(join(bin, "theriac"), { force: true });
  symlinkSync("../../dist/cli/main.js", join(bin, "theriac"));
}
