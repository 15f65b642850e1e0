"""
What programs do with LangChain's chat models, unchanged: addresses and keys come from the environment.

Runs in an environment of its own (`packages.lock`) and prints one JSON document of what it got.
"""

import json
import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

ASKED = "Name the capital of France."
SHORT = {"model": "smollm2", "max_tokens": 12, "temperature": 0, "max_retries": 0, "timeout": 120}


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=20)
    capital: bool


def look(city: str) -> str:
    """Look up where a city is."""
    return city


def through(model):
    """Do with one chat model what chains and agents do with any."""
    answer = model.invoke([SystemMessage("Answer briefly."), HumanMessage(ASKED)])
    pieces = list(model.stream([SystemMessage("Answer briefly."), HumanMessage(ASKED)]))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    looked = {"name": "look", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
    told = model.bind_tools([look]).invoke(
        [
            HumanMessage(ASKED),
            AIMessage("", tool_calls=[looked]),
            ToolMessage("Paris is in France.", tool_call_id="call_1"),
        ]
    )
    structured = model.model_copy(update={"max_tokens": 60}).with_structured_output(
        City, method="json_schema"
    )
    return {
        "text": answer.text,
        "usage": answer.usage_metadata,
        "pieces": len(pieces),
        "streamed": whole.text,
        "streamed_usage": whole.usage_metadata,
        "told": told.text,
        "structured": structured.invoke("Describe Paris as JSON.").model_dump(),
    }


answers = {
    "chat": through(ChatOpenAI(**SHORT, stream_usage=True)),
    "responses": through(ChatOpenAI(**SHORT, use_responses_api=True)),
    "messages": through(ChatAnthropic(**SHORT)),
}
json.dump(answers, sys.stdout)
