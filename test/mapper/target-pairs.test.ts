/** target: the contract of a device over every pair of targets, one on the other: what goes bad below is found by walking down, whatever the targets are. */
import { describe, test } from "vitest";
import { alignOut, type ByteRange } from "../../src/base/index.ts";
import type { SimulatedDevice } from "../../src/device/index.ts";
import { walkDown, type WalkStep } from "../../src/mapper/index.ts";
import { deviceSuite, type DeviceSubject } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import { kernelWindow, memoryStack, type Nodes } from "./support/kernel-map.ts";

const seed = randomSeed();
const SIZE = 32_768;

/** Tables of 32 KiB over devices of that size. */
const TARGETS: Readonly<Record<string, (one: string, other: string, own: string) => string>> = {
  linear: (one, other) => `0 32 linear ${one} 32\n32 32 linear ${other} 0`,
  striped: (one, other) => `0 64 striped 2 8 ${one} 0 ${other} 32`,
  unstriped: (one, other) => `0 32 unstriped 2 8 1 ${one} 0\n32 32 linear ${other} 16`,
  mirror: (one, other) => `0 64 mirror core 2 8 nosync 2 ${one} 0 ${other} 0`,
  raid1: (one, other) => `0 64 raid raid1 1 0 2 - ${one} - ${other}`,
  dust: (one) => `0 64 dust ${one} 0 512`,
  "log-writes": (one, _, own) => `0 64 log-writes ${one} log-${own}`,
  writecache: (one, _, own) => `0 64 writecache s ${one} cache-${own} 512 0`,
};

function leavesOf(step: WalkStep): readonly WalkStep[] {
  return step.below.length === 0 ? [step] : step.below.flatMap(leavesOf);
}

function subjectOf(nodes: Nodes): DeviceSubject {
  const { top, leaves } = memoryStack(nodes, { size: SIZE, poisonUnit: 512, clearUnit: 512 });
  const each = (range: ByteRange, call: (leaf: SimulatedDevice, unit: ByteRange) => void): void => {
    const done = new Set<string>();
    for (let at = range.offset; at < range.offset + range.length; at += 1) {
      for (const { device, offset } of leavesOf(walkDown(top, at))) {
        const leaf = device as SimulatedDevice;
        const unit = alignOut({ offset, length: 1 }, leaf.capabilities.poisonUnit);
        const key = `${leaf.identity.name} ${unit.offset}`;
        if (!done.has(key)) call(leaf, unit);
        done.add(key);
      }
    }
  };
  return {
    device: top,
    window: (page) => Math.floor(kernelWindow(nodes, "top", page * 8) / 8),
    inject: (range, options) => each(range, (leaf, unit) => leaf.inject(unit, options)),
    fault: (range, kind) => each(range, (leaf, unit) => leaf.setFault({ ...unit, kind, on: true })),
    dispose: async () => {
      await top.close();
      for (const leaf of leaves.values()) leaf.close();
    },
  };
}

for (const [upper, above] of Object.entries(TARGETS)) {
  for (const [lower, below] of Object.entries(TARGETS)) {
    const nodes = {
      left: below("a", "b", "left"),
      right: below("c", "d", "right"),
      top: above("left", "right", "top"),
    };
    deviceSuite({ describe, test }, `${upper} over ${lower}`, {
      seed,
      make: () => subjectOf(nodes),
    });
  }
}
