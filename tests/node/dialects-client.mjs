// What programs do with the anthropic client and with openai's responses, unchanged: addresses and keys come
// from the environment. Prints one JSON document of what they got.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const anthropic = new Anthropic({ maxRetries: 0 });
const openai = new OpenAI({ maxRetries: 0 });
const asked = { model: "smollm2", messages: [{ role: "user", content: "Name the capital of France." }] };

const message = await anthropic.messages.create({ ...asked, max_tokens: 12 });

const stream = anthropic.messages.stream({ ...asked, max_tokens: 12 });
let streamed = "";
stream.on("text", (text) => (streamed += text));
await stream.finalMessage();

const { input_tokens: counted } = await anthropic.messages.countTokens(asked);

let refused = null;
try {
  await anthropic.messages.create({ ...asked, model: "smollm3", max_tokens: 5 });
} catch (error) {
  refused = { status: error.status, name: error.constructor.name, hasId: Boolean(error.requestID) };
}

const input = asked.messages[0].content;
const response = await openai.responses.create({ model: "smollm2", input, max_output_tokens: 12 });

let responseStreamed = "";
const events = await openai.responses.create({ model: "smollm2", input, max_output_tokens: 12, stream: true });
for await (const event of events) {
  if (event.type === "response.output_text.delta") responseStreamed += event.delta;
}

console.log(
  JSON.stringify({
    message: message.content[0].text,
    streamed,
    counted,
    refused,
    response: response.output_text,
    responseStreamed,
  }),
);
