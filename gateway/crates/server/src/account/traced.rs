//! A call's span: what its record says, for those who look at traces.

use towpath_wire::usage::{Cache, CountedBy, Ended};

use super::Books;
use crate::genai::{attribute, operation_name};
use crate::telemetry::{Attributes, Ending, Recording, provider};

impl Books {
    /// Hand the call's spans over, where they are recorded.
    pub(super) fn trace(&mut self, ended: Ended, status: Option<u16>, code: Option<&str>) {
        let Some(recording) = self.exchange.trace.take() else { return };
        let exchange = &self.exchange;
        let shared = &exchange.worker.shared;
        if exchange.key.is_none() && !shared.telemetry.takes_stranger(exchange.time_ms) {
            return;
        }
        let operation = operation_name(exchange.operation);
        let name = match &exchange.endpoint {
            Some(endpoint) => format!("{operation} {endpoint}"),
            None => operation.to_owned(),
        };
        let error = match ended {
            Ended::Complete => None,
            Ended::ClientGone => Some(code.unwrap_or(super::CLIENT_GONE)),
            _ => Some(code.unwrap_or("_OTHER")),
        };
        let failed = match ended {
            Ended::Complete | Ended::ClientGone => false,
            Ended::Refused => status.is_some_and(|status| status >= 500),
            Ended::UpstreamCut | Ended::Timeout | Ended::Error | Ended::GatewayLost => true,
        };
        let mut attributes = Recording::attributes();
        attributes.text(attribute::OPERATION, Some(operation));
        attributes.number(attribute::STATUS, status.map(u64::from));
        attributes.text(attribute::ERROR, error);
        self.describe(&recording, &mut attributes);
        self.measured(ended, &mut attributes);
        let finished = recording.end(&Ending { name: &name, attributes, failed, error });
        shared.telemetry.hand_over(finished, &shared.metrics);
    }

    /// Who asked whom for what, and what the answer says of itself.
    fn describe(&self, recording: &Recording, attributes: &mut Attributes) {
        let exchange = &self.exchange;
        let (key, told) = (exchange.key.as_ref(), &recording.told);
        let table = &exchange.live.table;
        let team = exchange.team.as_deref().and_then(|id| table.team(id));
        let project = key.and_then(|key| table.project(&key.project));
        attributes.text(attribute::PROVIDER, self.target.as_deref().map(provider));
        attributes.text(attribute::REQUEST_MODEL, exchange.endpoint.as_deref());
        attributes.number(attribute::MAX_TOKENS, recording.max_tokens);
        attributes.flag(attribute::STREAM, exchange.stream);
        attributes.text(attribute::RESPONSE_ID, told.id.as_deref());
        attributes.text(attribute::RESPONSE_MODEL, told.model.as_deref());
        attributes.texts(attribute::FINISH_REASONS, &told.finish_reasons);
        attributes.text("towpath.request_id", Some(&exchange.id));
        attributes.text("towpath.client_request_id", exchange.client_request_id.as_deref());
        attributes.text("towpath.team", team.map(|team| team.name.as_str()));
        attributes.text("towpath.project", project.map(|project| project.name.as_str()));
        attributes.text("towpath.key_id", key.map(|key| &*key.id));
        attributes.word("towpath.environment", key.map(|key| key.environment));
        attributes.word("towpath.dialect", Some(exchange.dialect));
        attributes.word("towpath.data_class", Some(exchange.data_class));
        attributes.text("towpath.target", self.asked());
        attributes.text("towpath.decision", self.decision.as_deref());
    }

    /// What it took, cost and how it ended.
    fn measured(&self, ended: Ended, attributes: &mut Attributes) {
        let progress = &self.progress;
        attributes.number(attribute::INPUT_TOKENS, progress.input_tokens);
        attributes.number(attribute::OUTPUT_TOKENS, progress.output_tokens);
        attributes.number(attribute::CACHED_INPUT_TOKENS, progress.cached_input_tokens);
        attributes.number(attribute::CACHE_WRITE_TOKENS, progress.cache_write_tokens);
        let counted = Some(progress.counted_by).filter(|by| *by != CountedBy::None);
        attributes.word("towpath.counted_by", counted);
        attributes.word("towpath.ended", Some(ended));
        attributes.word("towpath.cache", Some(self.cache).filter(|cache| *cache != Cache::None));
        attributes.number("towpath.attempts", Some(progress.attempts.into()));
        attributes.number("towpath.cost_nano", progress.cost_nano);
        let currency = self.price.as_ref().map(|price| price.currency.as_str());
        attributes.text("towpath.currency", currency.filter(|_| progress.cost_nano.is_some()));
        attributes.number("towpath.first_byte_ms", progress.first_byte_ms);
        attributes.number("towpath.queue_ms", progress.queue_ms);
        attributes.number("towpath.cold_start_ms", progress.cold_start_ms);
        attributes.number("towpath.overhead_us", Some(self.overhead_us()));
    }
}
