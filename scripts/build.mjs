// Builds dist/: the layers as modules, the program as a few bundled files (a command then loads ten files and not two
// hundred), and node_modules/.bin/theriac in the clone itself, which npm makes only where a package is a dependency.
//
// The program is bundled as CommonJS, which Node loads on the spot: modules are resolved, read and linked in turns, which
// took a quarter of what a command needs beside Node's own start. No module of ours does anything but define when it is
// loaded, so a command leaves out those that it does not use. Names stay, because a bug is reported with the lines of its
// stack.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const bundled = join(dist, `.cli-${process.pid}`);

// The compiler writes modules where the bundle was: what says that those files are CommonJS must not outlive a build that fails.
rmSync(join(dist, "cli/package.json"), { force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});

const bundle = await rolldown({
  input: join(dist, "cli/main.js"),
  platform: "node",
  external: [/^node:/, "commander", "koffi", "zod"],
  treeshake: { moduleSideEffects: (id) => id.endsWith("cli/main.js") },
});
await bundle.write({
  dir: bundled,
  format: "cjs",
  chunkFileNames: "chunks/[name]-[hash].js",
  minify: {
    mangle: { keepNames: true },
    compress: { keepNames: { function: true, class: true } },
    codegen: true,
  },
});
writeFileSync(join(bundled, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
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
