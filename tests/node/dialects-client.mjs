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

// A small model need not call the tool; what it is told must arrive either way.
const tool = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const told = await anthropic.messages
  .stream({
    model: "smollm2",
    max_tokens: 12,
    tools: [{ name: "look", description: "Look it up.", input_schema: tool }],
    messages: [
      ...asked.messages,
      { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "look", input: { city: "?" } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "It is Paris." }] },
    ],
  })
  .finalMessage();

const { input_tokens: counted } = await anthropic.messages.countTokens(asked);

let refused = null;
try {
  await anthropic.messages.create({ ...asked, model: "smollm3", max_tokens: 5 });
} catch (error) {
  refused = { status: error.status, name: error.constructor.name, hasId: Boolean(error.requestID) };
}

const input = asked.messages[0].content;
const response = await openai.responses.create({ model: "smollm2", input, max_output_tokens: 12 });

const responseTold = await openai.responses.create({
  model: "smollm2",
  max_output_tokens: 12,
  tools: [{ type: "function", name: "look", description: "Look it up.", parameters: tool, strict: false }],
  input: [
    { role: "user", content: input },
    { type: "function_call", call_id: "call_1", name: "look", arguments: '{"city":"?"}' },
    { type: "function_call_output", call_id: "call_1", output: "It is Paris." },
  ],
});

let responseStreamed = "";
const events = await openai.responses.create({ model: "smollm2", input, max_output_tokens: 12, stream: true });
for await (const event of events) {
  if (event.type === "response.output_text.delta") responseStreamed += event.delta;
}

console.log(
  JSON.stringify({
    message: message.content[0].text,
    streamed,
    told: told.content.map((block) => block.type),
    counted,
    refused,
    response: response.output_text,
    responseTold: responseTold.status,
    responseStreamed,
  }),
);
