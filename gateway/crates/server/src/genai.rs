//! The names that OpenTelemetry's conventions for generative AI have, all still in development there: the
//! only module that knows them. What they have no name for is `towpath.…` and named where it is written.

use towpath_wire::routing::Operation;

/// Of figures, as Prometheus spells them.
pub mod figure {
    pub const TOKEN_USAGE: &str = "gen_ai_client_token_usage";
    pub const REQUEST_DURATION: &str = "gen_ai_server_request_duration_seconds";
    pub const TIME_TO_FIRST_TOKEN: &str = "gen_ai_server_time_to_first_token_seconds";
    pub const OPERATION: &str = "gen_ai_operation_name";
    pub const TOKEN_TYPE: &str = "gen_ai_token_type";
}

/// Of spans.
pub mod attribute {
    pub const OPERATION: &str = "gen_ai.operation.name";
    pub const PROVIDER: &str = "gen_ai.provider.name";
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    pub const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    pub const STREAM: &str = "gen_ai.request.stream";
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    pub const CACHED_INPUT_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
    // The general conventions'.
    pub const STATUS: &str = "http.response.status_code";
    pub const ERROR: &str = "error.type";
}

/// Who serves the models that no provider does.
pub const OWN_PROVIDER: &str = "towpath";

/// The name there is for an operation, ours where there is none.
pub fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Completions => "text_completion",
        Operation::Embeddings => "embeddings",
        Operation::Predict => "predict",
        Operation::Models => "models",
        Operation::Rerank => "rerank",
        Operation::Transcriptions => "transcriptions",
        Operation::CountTokens => "count_tokens",
    }
}
