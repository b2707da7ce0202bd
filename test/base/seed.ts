/** The seed of a random test: SEED where it is set, else a new one; printed, so that a failure can be repeated. */
export function randomSeed(): number {
  const given = process.env["SEED"];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  console.log(`SEED=${seed}`);
  return seed;
}
