"""What `towpath connect` prints: only what the platform speaks today."""

# OpenAI's dialect: chat, completions, embeddings, models. `predict` is Towpath's own.
TITLES = {
    "shell": "the variables that OpenAI clients and Towpath's own read",
    "curl": "a call by hand",
    "python": "Towpath's client for Python",
    "openai": "OpenAI's client for Python",
    "typescript": "OpenAI's client for TypeScript and JavaScript",
    "go": "OpenAI's client for Go",
    "java": "OpenAI's client for Java",
    "langchain": "LangChain",
    "llamaindex": "LlamaIndex",
    "litellm": "LiteLLM",
    "aider": "the coding agent aider",
    "continue": "the editor extension Continue",
}

NOT_SPOKEN = {
    "anthropic": "Anthropic's dialect (`/v1/messages`) is not spoken yet",
    "claude-code": "it needs Anthropic's dialect (`/v1/messages`), which is not spoken yet",
    "codex": "it needs OpenAI's responses API (`/v1/responses`), which is not spoken yet",
}

SNIPPETS = {
    "shell": "",
    "curl": """\
curl -sS "$OPENAI_BASE_URL/chat/completions" \\
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'""",
    "python": """\
# pip install towpath
from towpath import Towpath

client = Towpath()  # the key that `towpath login` saved, or TOWPATH_API_KEY
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)""",
    "openai": """\
# pip install openai
from openai import OpenAI

client = OpenAI()  # reads OPENAI_BASE_URL ({base_url}) and OPENAI_API_KEY
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)""",
    "typescript": """\
// npm install openai
import OpenAI from "openai";

const client = new OpenAI(); // reads OPENAI_BASE_URL ({base_url}) and OPENAI_API_KEY
const answer = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(answer.choices[0].message.content);""",
    "go": """\
// go get github.com/openai/openai-go
client := openai.NewClient() // reads OPENAI_BASE_URL ({base_url}) and OPENAI_API_KEY
answer, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{{
	Model:    "{model}",
	Messages: []openai.ChatCompletionMessageParamUnion{{openai.UserMessage("Hello")}},
}})""",
    "java": """\
// com.openai:openai-java
OpenAIClient client = OpenAIOkHttpClient.fromEnv(); // OPENAI_BASE_URL ({base_url}), OPENAI_API_KEY
ChatCompletion answer = client.chat().completions().create(
    ChatCompletionCreateParams.builder().model("{model}").addUserMessage("Hello").build());""",
    "langchain": """\
# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="{model}", base_url="{base_url}")  # key: OPENAI_API_KEY
print(model.invoke("Hello").content)""",
    "llamaindex": """\
# pip install llama-index-llms-openai-like
from llama_index.llms.openai_like import OpenAILike
import os

model = OpenAILike(
    model="{model}",
    api_base="{base_url}",
    api_key=os.environ["OPENAI_API_KEY"],
    is_chat_model=True,
)
print(model.complete("Hello"))""",
    "litellm": """\
# pip install litellm
import litellm

answer = litellm.completion(  # key: OPENAI_API_KEY
    model="openai/{model}",
    api_base="{base_url}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)""",
    "aider": """\
export OPENAI_API_BASE={base_url}
aider --model openai/{model}""",
    "continue": """\
# ~/.continue/config.yaml
name: towpath
version: 0.0.1
schema: v1
models:
  - name: {model}
    provider: openai
    model: {model}
    apiBase: {base_url}
    apiKey: ${{{{ secrets.OPENAI_API_KEY }}}}""",
}
