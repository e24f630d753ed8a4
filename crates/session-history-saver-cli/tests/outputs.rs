//! No output goes over a store, and none over a file that is there, unless it is told to.

mod support;

use std::fs;
use std::path::Path;

use crate::support::{done, failed, store};

/// What a folder holds, names and contents, those of folders in it included.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => all.push((path.display().to_string(), fs::read(&path).unwrap_or_default())),
        }
    }
    all.sort();
    all
}

#[test]
fn no_command_writes_over_a_database_or_what_belongs_to_it() {
    let folder = store();
    let path = folder.path();
    done(path, &["--store", "sqlite:other.db", "import", "in.json"]);
    fs::create_dir(path.join("sub")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path.join("session_history.db"), path.join("link")).unwrap();
        std::os::unix::fs::symlink("session_history.db-wal", path.join("link-to-log")).unwrap();
        fs::hard_link(path.join("session_history.db"), path.join("hard")).unwrap();
        fs::hard_link(path.join("other.db"), path.join("hard-other")).unwrap();
    }
    let before = contents(path);
    let mut targets = vec![
        "session_history.db",
        "./sub/../session_history.db",
        "session_history.db-wal",
        "session_history.db-shm",
        "session_history.db-journal",
        "session_history.db-lock",
        "other.db-wal",
    ];
    if cfg!(unix) {
        targets.extend(["link", "link-to-log", "hard"]);
    }
    let whole = path.join("session_history.db");
    targets.push(whole.to_str().unwrap());
    for target in targets {
        for arguments in [
            &["export", "--format", "jsonl", "-o", target][..],
            &["export", "--format", "jsonl", "--force", "-o", target],
            &["backup", target],
            &["backup", "--force", target],
        ] {
            let (code, said) = failed(path, arguments);
            assert_eq!(code, 2, "{arguments:?}: {said}");
            assert_eq!(contents(path), before, "{arguments:?}");
        }
    }
    for target in ["other.db", "hard-other"] {
        let (code, _) = failed(path, &["export", "--format", "md", "--force", "-o", target]);
        assert_eq!((code, contents(path) == before), (2, true), "{target}");
    }
    for target in ["sqlite:session_history.db", "sqlite:sub/../session_history.db-wal"] {
        assert_eq!(failed(path, &["copy", "--to", target]).0, 2, "{target}");
    }
    assert_eq!(contents(path), before);
}

#[test]
fn no_command_writes_into_the_folder_of_a_store() {
    let folder = store();
    let path = folder.path();
    done(path, &["copy", "--to", "fs:f"]);
    done(path, &["copy", "--to", "fs:g"]);
    let of_session = fs::read_dir(path.join("f")).unwrap().flatten().map(|entry| entry.path());
    let of_session = of_session.filter(|file| file.extension().is_some_and(|end| end == "jsonl"));
    let of_session = of_session.min().unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path.join("f"), path.join("link")).unwrap();
        fs::hard_link(&of_session, path.join("hard.jsonl")).unwrap();
    }
    let before = contents(path);
    let mut targets = vec![
        "f/new.jsonl",
        "f/sub/new.jsonl",
        "./f/../f/new.jsonl",
        "f/shs-fs.format",
        "g/new.jsonl",
        of_session.to_str().unwrap(),
    ];
    if cfg!(unix) {
        targets.extend(["link/new.jsonl", "hard.jsonl"]);
    }
    for target in targets {
        for arguments in [
            &["export", "--format", "jsonl", "--force", "-o", target][..],
            &["export", "--format", "openai", "--split", "0.5", "--force", "-o", target],
            &["backup", "--force", target],
        ] {
            if target == "hard.jsonl" && arguments.contains(&"--split") {
                // Its two files have other names.
                continue;
            }
            let named = [&["--store", "fs:f"], arguments].concat();
            let (code, said) = failed(path, &named);
            assert_eq!(code, 2, "{arguments:?}: {said}");
            assert_eq!(contents(path), before, "{arguments:?}");
        }
    }
    assert_eq!(failed(path, &["man", "--to", "f"]).0, 2);
    assert_eq!(failed(path, &["--store", "fs:f", "copy", "--to", "sqlite:f/x.db"]).0, 2);
    assert_eq!(failed(path, &["--store", "fs:f", "copy", "--to", "fs:f"]).0, 2);
    assert_eq!(contents(path), before);
}

#[test]
fn a_file_that_is_there_is_replaced_only_with_force() {
    let folder = store();
    let path = folder.path();
    let kept = |name: &str| fs::read_to_string(path.join(name)).unwrap() == "my thesis";
    for name in ["thesis.txt", "data.train.jsonl", "shs-list.1"] {
        fs::write(path.join(name), "my thesis").unwrap();
    }
    let export = ["export", "--format", "text", "-o", "thesis.txt"];
    let split = ["export", "--format", "openai", "--split", "0.5", "-o", "data.jsonl"];
    let man = ["man", "--to", "."];
    for (arguments, name) in
        [(&export[..], "thesis.txt"), (&split, "data.train.jsonl"), (&man, "shs-list.1")]
    {
        let (code, said) = failed(path, arguments);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(name) && said.contains("--force"), "{said}");
        assert!(kept(name));
        done(path, &[arguments, &["--force"]].concat());
        assert!(!kept(name));
    }
    // A link is there, also if it leads to nothing; what is no file is written to.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.md", path.join("dangling")).unwrap();
        assert_eq!(failed(path, &["export", "--format", "md", "-o", "dangling"]).0, 1);
        done(path, &["export", "--format", "md", "--force", "-o", "dangling"]);
        done(path, &["export", "--format", "md", "-o", "/dev/null"]);
    }
    done(path, &["backup", "copy.db"]);
    assert_eq!(failed(path, &["backup", "copy.db"]).0, 1);
    done(path, &["backup", "--force", "copy.db"]);
}

#[test]
fn no_store_is_made_where_there_is_something_else() {
    let folder = store();
    let path = folder.path();
    let before = contents(path);
    for (arguments, why) in [
        (&["copy", "--to", "fs:."][..], "has other files in it"),
        (&["--store", "fs:.", "import", "in.json"], "has other files in it"),
        (&["--store", "fs:in.json", "list"], "is a file, and fs: names a folder"),
        (&["--store", "fs:in.json", "import", "in.json"], "is a file, and fs: names a folder"),
        (&["copy", "--to", "fs:in.json"], "is a file, and fs: names a folder"),
        (&["--store", "sqlite:.", "list"], "is a folder, and sqlite: names a file"),
        (&["copy", "--to", "sqlite:."], "is a folder, and sqlite: names a file"),
    ] {
        let (code, said) = failed(path, arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(contents(path) == before, "{arguments:?}");
    }
    for named in ["sqlite:new.db", "fs:new"] {
        let (code, said) = failed(path, &["--store", named, "import", "missing.json"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("missing.json"), "{said}");
        assert!(contents(path) == before, "an import of nothing makes no store: {named}");
    }
    fs::create_dir(path.join("empty")).unwrap();
    done(path, &["copy", "--to", "fs:empty"]);
    done(path, &["copy", "--to", "fs:empty"]);
}
