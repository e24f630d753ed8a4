//! Secrets that are known by their form.
//!
//! The forms are those that the providers document, and that scanners of source code such as
//! gitleaks look for.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::REDACTED;

/// The form of one kind of secret.
struct Rule {
    /// A text that has none of these words has no such secret. In lower case.
    keywords: &'static [&'static str],
    /// What is taken out: the first group, or all if there is none.
    pattern: &'static str,
    /// Whether it counts only with a digit and a letter in it.
    is_mixed: bool,
}

const fn rule(keywords: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { keywords, pattern, is_mixed: false }
}

const fn mixed(keywords: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { keywords, pattern, is_mixed: true }
}

const RULES: &[Rule] = &[
    // Providers of models: OpenAI, Anthropic, OpenRouter, DeepSeek and others; Groq, xAI,
    // Perplexity, Replicate, Nvidia, Cerebras, Hugging Face, LangSmith, Databricks.
    rule(&["sk-"], r"\bsk-[A-Za-z0-9_-]{16,}"),
    rule(&["gsk_"], r"\bgsk_[A-Za-z0-9]{32,}"),
    rule(&["xai-"], r"\bxai-[A-Za-z0-9_-]{32,}"),
    rule(&["pplx-"], r"\bpplx-[A-Za-z0-9]{32,}"),
    rule(&["r8_"], r"\br8_[A-Za-z0-9]{32,}"),
    rule(&["nvapi-"], r"\bnvapi-[A-Za-z0-9_-]{32,}"),
    rule(&["csk-"], r"\bcsk-[A-Za-z0-9]{32,}"),
    rule(&["hf_", "api_org_"], r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    rule(&["lsv2_"], r"\blsv2_(?:pt|sk)_[A-Za-z0-9_]{32,}"),
    rule(&["dapi"], r"\bdapi[a-f0-9]{32}(?:-\d)?\b"),
    // Amazon, Microsoft, Google.
    rule(
        &["akia", "asia", "abia", "acca", "a3t"],
        r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    ),
    rule(&["absk"], r"\bABSK[A-Za-z0-9+/]{32,}={0,2}"),
    rule(&["q~"], r"\b[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
    rule(
        &["accountkey=", "sharedaccesskey="],
        r"(?i)(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{40,}={0,2})",
    ),
    rule(&["sig="], r"(?i)[?&;]sig=([A-Za-z0-9%+/_-]{30,}(?:=|%3d){0,2})"),
    rule(&["jqqj99"], r"\b[A-Za-z0-9]{40,60}JQQJ99[A-Za-z0-9]{20,30}"),
    rule(&["aiza"], r"\bAIza[A-Za-z0-9_-]{35}"),
    rule(&["gocspx-"], r"\bGOCSPX-[A-Za-z0-9_-]{24,}"),
    rule(&["ya29."], r"\bya29\.[A-Za-z0-9_-]{20,}"),
    // Code and packages: GitHub, GitLab, npm, PyPI, crates.io, RubyGems.
    rule(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    rule(&["github_pat_"], r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
    rule(
        &[
            "glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-",
            "glagent-", "glsoat-", "gloas-", "glffct-", "glwt-",
        ],
        r"\bgl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|soat|oas|ffct|wt)-[A-Za-z0-9_=.-]{20,}",
    ),
    rule(&["gr1348941"], r"\bGR1348941[A-Za-z0-9_-]{20,}"),
    rule(&["npm_"], r"\bnpm_[A-Za-z0-9]{36}"),
    rule(&["pypi-"], r"\bpypi-[A-Za-z0-9_-]{50,}"),
    rule(&["cio"], r"\bcio[A-Za-z0-9]{32}\b"),
    rule(&["rubygems_"], r"\brubygems_[a-f0-9]{48}"),
    // Services: Slack, Stripe, SendGrid, Twilio, Mailgun, Shopify, Telegram, Linear, Notion,
    // Atlassian.
    rule(&["xox"], r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    rule(&["xapp-"], r"\bxapp-\d-[A-Za-z0-9-]{20,}"),
    rule(
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{20,})",
    ),
    rule(&["_live_", "_test_", "_prod_"], r"\b[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    rule(&["whsec_"], r"\bwhsec_[A-Za-z0-9+/]{24,}={0,2}"),
    rule(&["sg."], r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}"),
    rule(&["sk"], r"\bSK[0-9a-f]{32}\b"),
    rule(&["key-"], r"\bkey-[a-f0-9]{32}\b"),
    rule(&["shpat_", "shpca_", "shppa_", "shpss_"], r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    rule(&[":aa"], r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,33}"),
    rule(&["lin_api_"], r"\blin_api_[A-Za-z0-9]{40}"),
    rule(&["ntn_"], r"\bntn_[A-Za-z0-9]{40,}"),
    rule(&["atatt3"], r"\bATATT3[A-Za-z0-9_=-]{100,}"),
    // Infrastructure: DigitalOcean, HashiCorp Vault, Grafana, Sentry, New Relic, Pulumi, Supabase,
    // age.
    rule(&["doo_v1_", "dop_v1_", "dor_v1_"], r"\bdo[opr]_v1_[a-f0-9]{64}"),
    rule(&["hvs.", "hvb."], r"\bhv[sb]\.[A-Za-z0-9_-]{24,}"),
    rule(
        &["glsa_", "glc_"],
        r"\b(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,2})",
    ),
    rule(&["sntrys_", "sntryu_"], r"\bsntry[su]_[A-Za-z0-9+/=_-]{40,}"),
    rule(&["nrak-"], r"\bNRAK-[A-Z0-9]{27}"),
    rule(&["pul-"], r"\bpul-[a-f0-9]{40}"),
    rule(&["sbp_", "sb_secret_"], r"\b(?:sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,})"),
    rule(&["age-secret-key-"], r"\bAGE-SECRET-KEY-1[0-9A-Za-z]{58}"),
    // Forms of many.
    rule(&["eyj"], r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    rule(&["bearer"], r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}=*"),
    rule(&["basic"], r"(?i)\bbasic\s+[A-Za-z0-9+/]{8,}={1,2}"),
    // To the end of the text, if the end of the key was cut off.
    rule(
        &["private key"],
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    rule(&["://"], r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]*:([^\s/@]+)@"),
    // A value behind the name of a secret, if a digit and a letter are in it.
    mixed(
        &["password", "passwd", "passphrase", "secret", "key", "token"],
        concat!(
            r#"(?i)(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|account[_-]?key"#,
            r#"|secret[_-]?access[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token)"#,
            r#"["']?\s{0,4}(?:=>|:=|=|:)\s{0,4}["']?"#,
            r#"([^\s"',;)\]}]{8,})"#,
        ),
    ),
];

/// All rules, ready to be used.
struct Rules {
    keywords: AhoCorasick,
    /// Which rule each keyword belongs to.
    rule_of: Vec<usize>,
    patterns: Vec<Regex>,
}

static COMPILED: LazyLock<Rules> = LazyLock::new(|| {
    let keywords = RULES.iter().enumerate();
    let keywords =
        keywords.flat_map(|(at, rule)| rule.keywords.iter().map(move |word| (at, *word)));
    let (rule_of, words): (Vec<usize>, Vec<&str>) = keywords.unzip();
    let keywords = AhoCorasick::builder().ascii_case_insensitive(true).build(words);
    let pattern = |rule: &Rule| {
        // What is a word of another script's letters around it need not be known for that.
        let pattern = rule.pattern.replace(r"\b", r"(?-u:\b)");
        Regex::new(&pattern).expect("the patterns are constant")
    };
    Rules {
        keywords: keywords.expect("the keywords are constant"),
        rule_of,
        patterns: RULES.iter().map(pattern).collect(),
    }
});

/// Takes out of a text what has a known form. A text without any of the keywords is looked at once.
pub(super) fn take_out(text: &mut String) {
    let rules = &*COMPILED;
    let mut found = [false; RULES.len()];
    let mut any = false;
    for hit in rules.keywords.find_overlapping_iter(&*text) {
        found[rules.rule_of[hit.pattern().as_usize()]] = true;
        any = true;
    }
    if !any {
        return;
    }
    for (at, pattern) in rules.patterns.iter().enumerate().filter(|(at, _)| found[*at]) {
        replace(pattern, RULES[at].is_mixed, text);
    }
}

/// Replaces what matches a pattern.
pub(super) fn replace_all(pattern: &Regex, text: &mut String) {
    if let Cow::Owned(clean) = pattern.replace_all(text, REDACTED) {
        *text = clean;
    }
}

/// Replaces the first group of each match, or all of it if there is no group.
fn replace(pattern: &Regex, is_mixed: bool, text: &mut String) {
    let mut clean = String::new();
    let mut done = 0;
    for captures in pattern.captures_iter(text) {
        let secret = captures.get(1).or_else(|| captures.get(0)).expect("there is a match");
        if is_mixed && !has_digit_and_letter(secret.as_str()) {
            continue;
        }
        clean.push_str(&text[done..secret.start()]);
        clean.push_str(REDACTED);
        done = secret.end();
    }
    if done > 0 {
        clean.push_str(&text[done..]);
        *text = clean;
    }
}

fn has_digit_and_letter(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        let mut text = text.to_owned();
        take_out(&mut text);
        text
    }

    fn some(kind: char, count: usize) -> String {
        let alphabet = match kind {
            'h' => "0123456789abcdef",
            'u' => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            'd' => "0123456789",
            _ => "abcDEF0123456789ghijKLMNopqrstuvWXYZ",
        };
        alphabet.chars().cycle().take(count).collect()
    }

    /// One of each form, and nothing around it.
    fn samples() -> Vec<String> {
        let any = |prefix: &str, count| format!("{prefix}{}", some('a', count));
        let hex = |prefix: &str, count| format!("{prefix}{}", some('h', count));
        vec![
            any("sk-proj-", 48),
            any("sk-ant-api03-", 80),
            any("gsk_", 52),
            any("xai-", 80),
            any("pplx-", 48),
            any("r8_", 37),
            any("nvapi-", 64),
            any("csk-", 48),
            any("hf_", 34),
            any("api_org_", 34),
            any("lsv2_pt_", 43),
            hex("dapi", 32),
            format!("AKIA{}", some('u', 16)),
            format!("ASIA{}", some('u', 16)),
            any("ABSK", 109),
            format!("abc1Q~{}", some('a', 34)),
            format!("{}JQQJ99{}", some('a', 52), some('a', 26)),
            any("AIza", 35),
            any("GOCSPX-", 28),
            any("ya29.", 100),
            any("ghp_", 36),
            any("ghs_", 36),
            any("github_pat_", 82),
            any("glpat-", 20),
            any("glrt-", 27),
            any("GR1348941", 20),
            any("npm_", 36),
            any("pypi-AgEIcHlwaS5vcmc", 80),
            any("cio", 32),
            hex("rubygems_", 48),
            format!("xoxb-{}-{}", some('d', 12), some('a', 24)),
            format!("xapp-1-A{}-{}", some('d', 10), some('h', 32)),
            any("sk_live_", 24),
            any("rk_test_", 24),
            any("whsec_", 32),
            format!("SG.{}.{}", some('a', 22), some('a', 43)),
            hex("SK", 32),
            hex("key-", 32),
            hex("shpat_", 32),
            format!("{}:AA{}", some('d', 10), some('a', 33)),
            any("lin_api_", 40),
            any("ntn_", 46),
            any("ATATT3", 186),
            hex("dop_v1_", 64),
            any("hvs.", 90),
            format!("glsa_{}_{}", some('a', 32), some('h', 8)),
            any("glc_eyJ", 60),
            any("sntrys_eyJ", 60),
            hex("sntryu_", 64),
            format!("NRAK-{}", some('u', 27)),
            hex("pul-", 40),
            hex("sbp_", 40),
            any("sb_secret_", 31),
            any("AGE-SECRET-KEY-1", 58),
            format!("eyJ{}.{}.{}", some('a', 30), some('a', 40), some('a', 43)),
            format!("eyJ{}..{}.{}.{}", some('a', 30), some('a', 16), some('a', 40), some('a', 22)),
            any("Bearer ", 40),
            format!("Basic {}==", some('a', 22)),
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\n-----END RSA PRIVATE KEY-----"
                .to_owned(),
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"
                .to_owned(),
            r"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----"
                .to_owned(),
        ]
    }

    /// Those of which the place is known, and not the form: before, the secret, and behind.
    fn placed() -> Vec<[String; 3]> {
        let placed =
            |before: &str, secret: &str, behind: &str| [before, secret, behind].map(str::to_owned);
        vec![
            placed("AccountName=x;AccountKey=", &format!("{}==", some('a', 86)), ";Endpoint=y"),
            placed("SharedAccessKey=", &format!("{}=", some('a', 43)), ""),
            placed("https://x.example/c?sv=2024&sig=", &format!("{}%3D", some('a', 43)), "&se=1"),
            placed("https://hooks.slack.com/services/", &format!("T{}/B{0}", some('u', 20)), " "),
            placed("postgres://bob:", "hunter22", "@db.example/x"),
            placed("https://:", "hunter22", "@db.example"),
            placed("password: ", "hunter2HUNTER", " and so on"),
            placed(r#"{"api_key": ""#, "4f0c2d91e6b84b7f", r#"", "x": 1}"#),
            placed("AWS_SECRET_ACCESS_KEY=", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "\n"),
            placed("client_secret='", "s3cr3t-s3cr3t", "'"),
        ]
    }

    #[test]
    fn each_form_is_taken_out() {
        for secret in samples() {
            for (before, behind) in [("", ""), ("before ", " after"), ("é", "\n"), ("\"", "\",")] {
                let expected = format!("{before}{REDACTED}{behind}");
                assert_eq!(clean(&format!("{before}{secret}{behind}")), expected, "{secret}");
            }
        }
    }

    #[test]
    fn what_stands_in_a_known_place_is_taken_out() {
        for [before, secret, behind] in placed() {
            let expected = format!("{before}{REDACTED}{behind}");
            assert_eq!(clean(&format!("{before}{secret}{behind}")), expected, "{secret}");
        }
    }

    #[test]
    fn each_rule_has_a_sample() {
        let texts: Vec<String> =
            samples().into_iter().chain(placed().into_iter().map(|parts| parts.concat())).collect();
        for (rule, pattern) in RULES.iter().zip(&COMPILED.patterns) {
            assert!(texts.iter().any(|text| pattern.is_match(text)), "{}", rule.pattern);
            for text in texts.iter().filter(|text| pattern.is_match(text)) {
                let lower = text.to_ascii_lowercase();
                assert!(rule.keywords.iter().any(|word| lower.contains(word)), "{}", rule.pattern);
            }
        }
    }

    #[test]
    fn a_private_key_that_is_cut_off_is_taken_out_to_the_end() {
        let cut = "see -----BEGIN EC PRIVATE KEY-----\nMHcC\nAQEE";
        assert_eq!(clean(cut), format!("see {REDACTED}"));
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "the risk-averse bearer of news asks about sk-8",
            "a basic understanding of internationalization",
            "token: str = None, secret: SomeType, password: required",
            "The password is on the desk. A secret: nobody knows it",
            "https://example.org:8080/path?key=value and mailto:a@b.example",
            "max_tokens: 12345678, api_key=os.environ['OPENAI_API_KEY']",
            "5e551095-4157-4f72-8d16-e57c0de00001 and 2026-11-30T16:55:41",
            "asia akiabara disk-usage ask-questions-of-somebody",
        ] {
            assert_eq!(clean(text), text);
        }
    }
}
