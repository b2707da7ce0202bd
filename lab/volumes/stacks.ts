/** stacks: recipes as Theriac's stacks: members named, nothing else said of them. */
import type { StackDevice, StackText, StackVolume } from "../../src/mapper/index.ts";
import type { Recipe, Volume } from "./recipe.ts";

/** The stack whose top is one volume of a recipe. @param folder holds the images */
export function stackOf(recipe: Recipe, top: Volume, folder: string): StackText {
  const devices = recipe.disks.map(({ name }): StackDevice => ({
    kind: "device",
    line: 0,
    name,
    path: `${folder}/${name}.img`,
  }));
  const volumes = recipe.volumes.map((volume): StackVolume => {
    const { name, members } = volume;
    const facts = { line: 0, name, members };
    return volume.kind === "md"
      ? { kind: "md", ...facts }
      : { kind: "lvm", ...facts, volume: volume.volume };
  });
  const tables = recipe.disks.flatMap(({ name, parts }) =>
    parts.map(([first, count], index) => ({
      name: `${name}p${index + 1}`,
      rows: [{ line: 0, start: 0, length: count, type: "linear", args: [name, `${first}`] }],
    })),
  );
  return { path: "recipe", devices, volumes, tables, top: top.name, namesTop: true };
}
