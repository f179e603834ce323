// The verdict of a detector in words. What each means was written by the toolkit; here it is only chosen.

const MARKS = { "disrupted": "bad", "not disrupted": "good" };

/** What is said of a detector's results: `told` is what models.json says of it. */
export function verdictOf(told, results) {
  const score = results.score.data[0], { threshold, unsure_above: unsure, words } = told;
  const guess = told.guess || (results.covered !== undefined && results.covered.data[0] < 0.5);
  const looks = score > threshold ? "disrupted" : "not disrupted";
  const word = guess || (unsure < score && score <= threshold) ? "cannot tell" : looks;
  const chosen = guess ? words.guess : words.verdicts[word];
  const filled = (text) => text.replaceAll("{score}", score.toFixed(2));
  const reasons = words.verdicts[guess ? looks : word].why;
  return {
    mark: MARKS[word] ?? "open",
    word: guess ? `${word}; it looks ${looks}` : word,
    score: `${score.toFixed(2)}; more than ${threshold.toFixed(2)} counts as disrupted`,
    how_sure: filled(chosen.how_sure),
    why: typeof reasons === "string" ? reasons : reasons[strongest(told, results)],
    what_to_do: filled(chosen.what_to_do),
  };
}

/** The name of the largest piece of evidence; empty if there is none. What is no number does not count. */
function strongest(told, results) {
  let name = "", most = -Infinity;
  for (const kind of ["regions", "processings"]) {
    told[kind].forEach((label, i) => {
      const value = results[kind].data[i];
      if (value > most) [name, most] = [label, value];
    });
  }
  return name;
}
