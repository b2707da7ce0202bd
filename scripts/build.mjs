// Builds dist/: the layers as modules, the program as a few bundled files (a command then loads ten files and not two
// hundred), and node_modules/.bin/theriac in the clone itself, which npm makes only where a package is a dependency.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const bundled = join(dist, `.cli-${process.pid}`);

execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});

const bundle = await rolldown({
  input: join(dist, "cli/main.js"),
  platform: "node",
  external: [/^node:/, "commander", "koffi", "zod"],
});
await bundle.write({ dir: bundled, format: "esm", chunkFileNames: "chunks/[name]-[hash].js" });
await bundle.close();
rmSync(join(dist, "cli"), { recursive: true, force: true });
renameSync(bundled, join(dist, "cli"));
chmodSync(join(dist, "cli/main.js"), 0o755);

const modules = join(root, "node_modules");
if (existsSync(modules)) {
  mkdirSync(join(modules, ".bin"), { recursive: true });
  rmSync(join(modules, ".bin/theriac"), { force: true });
  symlinkSync("../../dist/cli/main.js", join(modules, ".bin/theriac"));
}
