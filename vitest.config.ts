/**
 * How the suites run: unit is fast and parallel; interop needs other programs and skips, with a reason, without them; kernel mounts random
 * file systems, which not every kernel survives, and so runs only where it is asked for (`npm run test:kernel`).
 */
import { availableParallelism } from "node:os";
import { defineConfig, type ViteUserConfig } from "vitest/config";

function project(name: string, folders: readonly string[], testTimeout: number) {
  return {
    test: {
      name,
      testTimeout,
      hookTimeout: testTimeout,
      include: folders.map((folder) => `${folder}/**/*.test.ts`),
    },
  };
}

const config: ViteUserConfig = defineConfig({
  test: {
    globalSetup: ["test/support/build.ts"],
    // One more than the cores: many tests wait for syncs and for other programs.
    maxWorkers: availableParallelism() + 1,
    projects: [
      {
        test: {
          name: "unit",
          testTimeout: 60_000,
          include: ["test/**/*.test.ts"],
          exclude: ["test/interop/**", "test/simulation/**", "test/kernel/**"],
        },
      },
      project("simulation", ["test/simulation"], 600_000),
      project("interop", ["test/interop"], 900_000),
      ...(process.env["THERIAC_KERNEL_TESTS"] === undefined
        ? []
        : [project("kernel", ["test/kernel"], 900_000)]),
    ],
  },
});

// oxlint-disable-next-line import/no-default-export -- vitest reads the default export
export default config;
