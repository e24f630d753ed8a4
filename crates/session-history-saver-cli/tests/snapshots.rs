//! What the commands print, as it was approved: `INSTA_UPDATE=always cargo test --test snapshots` writes it anew, to be read and
//! committed.

mod support;

use crate::support::{done, store};

/// What a command prints, in a pipe.
macro_rules! snapshots {
    ($($name:ident: $($argument:literal)+;)+) => {$(
        #[test]
        fn $name() {
            let folder = store();
            let printed = done(folder.path(), &[$($argument),+]);
            insta::assert_snapshot!(stringify!($name), printed);
        }
    )+};
}

snapshots! {
    list: "list";
    list_json: "list" "--json";
    show: "show" "billing-1";
    show_markdown: "show" "billing-1" "--format" "md";
    show_json: "show" "billing-1" "--json";
    search: "search" "charged";
    search_json: "search" "charged" "--json";
    stats: "stats";
    stats_json: "stats" "--json";
    stats_by_model: "stats" "--by" "model";
    stats_by_day: "stats" "--by" "day";
    import_again: "import" "in.json";
    import_dry_run_json: "import" "in.json" "--dry-run" "--json";
    export_json_lines: "export" "--format" "jsonl";
    export_csv: "export" "--format" "csv";
    help: "--help";
    help_of_import: "import" "--help";
}
