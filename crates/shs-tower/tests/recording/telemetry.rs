//! Spans with the names of OpenTelemetry's GenAI conventions, warnings, and counters of the `metrics` crate.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shs_memory::MemoryStore;
use shs_store::Store;
use shs_tower::{RecordLayer, Recorder, RecorderOptions};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Answer, Setup, chat, turns};

/// Notes the fields of all spans, and the warnings.
#[derive(Clone, Default)]
struct Notes(Arc<Noted>);

#[derive(Default)]
struct Noted {
    spans: AtomicU64,
    fields: Mutex<BTreeMap<String, String>>,
    warnings: AtomicU64,
}

struct Fields<'a>(&'a Noted);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.fields.lock().unwrap().insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("shs_tower")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut Fields(&self.0));
        Id::from_u64(1 + self.0.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&self.0));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let is_warning = *event.metadata().level() == Level::WARN;
        self.0.warnings.fetch_add(u64::from(is_warning), Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_span_says_what_the_conventions_ask_for_and_no_content() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let setup = Setup::new();
    setup.send(chat("s", turns(["SECRET question"])), Answer::words(["SECRET", " answer"])).await;
    let fields = notes.0.fields.lock().unwrap().clone();
    let expected = [
        ("gen_ai.conversation.id", "s"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "model-1"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.response.id", "chatcmpl-1"),
        ("gen_ai.response.model", "model-2"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "3"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, BTreeMap::from(expected));
    assert_eq!(notes.0.spans.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_full_queue_warns_once_in_an_interval() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let store: Arc<MemoryStore> = Arc::default();
    let hour = Duration::from_secs(3_600);
    let options = RecorderOptions::default().with_queue(1).with_warn_every(hour);
    let recorder = Recorder::with_options(Arc::clone(&store) as Arc<dyn Store>, options);
    let setup = Setup { layer: RecordLayer::new(recorder.clone()), recorder, store };
    let under_way = setup.call(chat("s", turns(["a"])), Answer::words(["b"])).await;
    for _ in 0..10 {
        setup.send(chat("t", turns(["a"])), Answer::words(["b"])).await;
    }
    drop(under_way);
    assert_eq!(setup.recorder.counts().dropped, 10);
    assert_eq!(notes.0.warnings.load(Ordering::Relaxed), 1);
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn the_metrics_crate_counts_too() {
    use metrics::{Counter, Gauge, Histogram, Key, KeyName, SharedString, Unit};

    #[derive(Default)]
    struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl metrics::Recorder for Counters {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
            let mut counters = self.0.lock().unwrap();
            Counter::from_arc(Arc::clone(counters.entry(key.name().to_owned()).or_default()))
        }
        fn register_gauge(&self, _: &Key, _: &metrics::Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &metrics::Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let setup = Setup::new();
    setup.send(chat("s", turns(["a"])), Answer::words(["b"])).await;
    setup.leave_after(chat("t", turns(["a"])), Answer::words(["b"]), 1).await;
    let counted = |name: &str| {
        let counters = counters.0.lock().unwrap();
        counters.get(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    };
    assert_eq!(counted("shs_recorder_recorded_total"), 2);
    assert_eq!(counted("shs_recorder_aborted_total"), 1);
    assert_eq!(counted("shs_recorder_dropped_total"), 0);
}
