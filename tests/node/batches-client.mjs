// What a program does with the openai client's files and batches, unchanged: address and key come from
// OPENAI_BASE_URL and OPENAI_API_KEY. Prints one JSON document of what it got.
import { setTimeout as wait } from "node:timers/promises";
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ maxRetries: 5 });
const DEADLINE_MS = Date.now() + 100_000;

const lines = [1, 2].map((number) => ({
  custom_id: `line-${number}`,
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: "smollm2", max_tokens: 2, messages: [{ role: "user", content: `Count from ${number}.` }] },
}));
const content = lines.map((line) => JSON.stringify(line) + "\n").join("");

const file = await client.files.create({ file: await toFile(Buffer.from(content), "in.jsonl"), purpose: "batch" });
const made = await client.batches.create({
  input_file_id: file.id,
  endpoint: "/v1/chat/completions",
  completion_window: "24h",
});

let batch = made;
while (!["completed", "failed", "expired", "cancelled"].includes(batch.status) && Date.now() < DEADLINE_MS) {
  await wait(50);
  batch = await client.batches.retrieve(made.id);
}
const output = await (await client.files.content(batch.output_file_id)).text();

let listed = false;
for await (const one of client.batches.list({ limit: 1 })) listed ||= one.id === made.id;

const deleted = await client.files.delete(file.id);
let refused = null;
try {
  await client.files.retrieve(file.id);
} catch (error) {
  refused = { status: error.status, name: error.constructor.name };
}

console.log(
  JSON.stringify({
    status: batch.status,
    counts: batch.request_counts,
    ids: output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).custom_id)
      .sort(),
    listed,
    deleted: deleted.deleted,
    refused,
  }),
);
