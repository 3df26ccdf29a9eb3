"""What every value of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
