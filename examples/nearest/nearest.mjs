import { cosineSimilarity, load } from "oneword";

const sentences = [
  "A jockey riding a horse.",
  "A man is playing the guitar.",
  "The stock market fell sharply on Monday.",
  "Investors lost money as shares dropped.",
  "A woman is slicing an onion.",
];
const question = process.argv[2] ?? "Someone makes music.";

const model = await load("smollm2-135m");
const [asked, ...rows] = await model.embed([question, ...sentences]);
const ranked = sentences
  .map((sentence, i) => ({ sentence, similarity: cosineSimilarity(asked, rows[i]) }))
  .sort((a, b) => b.similarity - a.similarity);
for (const { sentence, similarity } of ranked) console.log(`${similarity.toFixed(4)}  ${sentence}`);
await model.close();
