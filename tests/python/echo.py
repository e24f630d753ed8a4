"""A model for the tool `llm` that needs no network: it says what it heard, and calls a tool when asked for the weather."""
import llm


class Echo(llm.Model):
    """Answers, calls a tool when asked for the weather, and knows what it costs."""

    model_id = "echo"
    supports_tools = True
    attachment_types = {"image/png"}

    def execute(self, prompt, stream, response, conversation):
        response.set_usage(input=3, output=5)
        if "weather" in (prompt.prompt or ""):
            response.add_tool_call(llm.ToolCall(name="weather", arguments={"city": "Bern"}, tool_call_id="call_1"))
        elif prompt.tool_results:
            yield "It is " + prompt.tool_results[0].output
        else:
            yield "You said: " + (prompt.prompt or "")


def weather(city: str) -> str:
    "The weather of a city."
    return "sunny"
