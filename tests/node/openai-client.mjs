// What a program does with the openai client, unchanged: address and key come from OPENAI_BASE_URL and
// OPENAI_API_KEY. Prints one JSON document of what it got.
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: "Name the capital of France." }];

const models = [];
for await (const model of client.models.list()) models.push(model.id);

const { data: chat, response } = await client.chat.completions
  .create({ model: "smollm2", messages, max_tokens: 12, temperature: 0 })
  .withResponse();

const stream = await client.chat.completions.create({
  model: "smollm2",
  messages,
  max_tokens: 12,
  temperature: 0,
  stream: true,
  stream_options: { include_usage: true },
});
let streamed = "";
let usage = null;
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}

const embedding = await client.embeddings.create({ model: "minilm", input: ["one", "two"] });

let refused = null;
try {
  await client.chat.completions.create({ model: "smollm3", messages });
} catch (error) {
  refused = { status: error.status, code: error.code, message: error.message };
}

console.log(
  JSON.stringify({
    models,
    content: chat.choices[0].message.content,
    tokens: chat.usage.total_tokens,
    request_id: response.headers.get("x-request-id"),
    streamed,
    usage,
    dimensions: embedding.data.map((one) => one.embedding.length),
    refused,
  }),
);
