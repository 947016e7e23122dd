//! What inputs are made of, and how they are damaged.

/// Beginnings, by target.
#[derive(Clone, Copy)]
pub(crate) enum Corpus {
    Expressions,
    Queries,
    Labels,
    Fields,
    Paths,
    Values,
    Bodies,
    Lists,
    Watches,
}

const EXPRESSIONS: &[&str] = &[
    "status.phase = Running and (restarts > 3 or age < 15m) and not name icontains \"x\"",
    "phase in (A, 'B c', \"d\\u{e9}\") or node !exists and exists labels[app.kubernetes.io/name]",
    "all(images) startswith 'x' && any(ips) notin (10.0.0.0/8, fd00::/8) || !(uid != a)",
    ".status.conditions[type=Ready].status = True and {.a[?(@.type==\"x\")].b} != 2Gi",
    "labels[n] >= 5 and labels['a b'] < \"7\" and int(.spec.replicas) <= 1e400",
    "duration(.spec.t) > 1h30m and age(.status.start) < 2d and created > 2026-01-01",
    "name matches '^web-\\d+(a|b)*[^x]{2,5}$' and name iequals_ascii X and false or true",
    "-name,labels[a.io/b],-age,ip(spec.nodeName),quantity(.spec.size)",
];
const QUERIES: &[&str] = &[
    "filter=metadata.name~a,metadata.labels[a.io/b]!=x&filter=status.phase in (a,,b)&sort=-metadata.name,ip(status.podIP)",
    "pagesize=10&page=3&revision=1234&projectsornamespaces!=p1,n1&summary=status.phase,metadata.labels[a]&summaryonly",
    "filter=id~a/b,!metadata.labels[c]&filter=spec.x.y%20gt%205&filter=restarts<3&filter=a='it\\'s'",
];
const LABELS: &[&str] = &[
    "a=b,c!=d,e in (x,,y),f notin (),!g,h,i>5,j<-3",
    "app.kubernetes.io/name in (a,b), partition,environment!=qa",
];
const FIELDS: &[&str] =
    &["status.phase=Running,spec.nodeName!=a\\,b\\=c\\\\,metadata.name=x", "a==b,,c=", "=,!="];
const PATHS: &[&str] = &[
    ".spec.containers[*].image",
    "{.status.conditions[?(@.type==\"Ready\")].status}",
    "$.metadata.labels['app.kubernetes.io/name'][0]['a\\'b'].*",
    ".a\\.b.c[type=Ready][key='v w']",
];
const VALUES: &[&str] = &[
    "1.5Gi",
    "500m",
    "-12e3",
    "0.000000001",
    "1e400",
    "9223372036854775808",
    "1h30m5.5s",
    "2d",
    "-1.5us",
    "2026-01-31T12:00:00.123456Z",
    "2026-02-29",
    "10.0.0.1",
    "::ffff:1.2.3.4",
    "fe80::1%eth0",
    "true",
    "+5",
    "00.10",
    ".5",
    "5.",
    "1E",
    "1Ei",
    "\"text\\u00e9\\ud83d\\ude00\"",
    "\"1.5Gi\"",
    "null",
    "-0",
];
const BODIES: &[&str] = &[
    r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","labels":{"a":"b","n":"7"},"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"nodeName":"x","hostNetwork":true,"containers":[{"image":"i","resources":{"requests":{"cpu":"500m","memory":"2Gi"}}},{"image":"j"}]},"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}],"containerStatuses":[{"restartCount":3},{"restartCount":2}],"conditions":[{"type":"Ready","status":"True"}]}}"#,
    r#"{"a":[1,2.5,-0,1e400,123456789012345678901234567890,"\ud800\u0000\"\\/",{"b":null,"b":[[],{}]}],"é":"é","":{"":true}}"#,
    "{ \"status\" : { \"phase\" :\t\"a\" , \"phase\":\n\"b\" } , \"spec\":{\"x\":[false,[[[[1]]]]]} }",
];
const LISTS: &[&str] = &[
    r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"10","continue":"x","remainingItemCount":3},"items":[{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"5","labels":{"a":"b"},"ownerReferences":[{"kind":"R","name":"r","uid":"o","controller":true}]},"status":{"phase":"x"}},{"metadata":{"name":"b","uid":"v","resourceVersion":"6"}}]}"#,
    r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"9"},"columnDefinitions":[{"name":"Name","type":"string"}],"rows":[{"cells":["a",1,null],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","uid":"u","resourceVersion":"4"}}}]}"#,
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"gone","reason":"Expired","code":410}"#,
];
const WATCHES: &[&str] = &[
    "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"5\"}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"6\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
    "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"7\"}}}\n{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n",
];

/// Bits that grammars are made of.
const BITS: &[&str] = &[
    " ",
    "\t",
    "\n",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    "=",
    "!=",
    "!",
    "<",
    ">=",
    "~",
    "&",
    "&&",
    "||",
    "%",
    "%00",
    "+",
    "-",
    "--",
    ".",
    "..",
    "*",
    "[*]",
    "[0]",
    "?(@.",
    "@",
    "$",
    "/",
    "0",
    "1",
    "-1",
    "1e999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "0.1",
    "Ki",
    "m",
    "E",
    "e5",
    "true",
    "false",
    "null",
    "and",
    "or",
    "not",
    "in",
    "notin",
    "exists",
    "contains",
    "matches",
    "within",
    "all(",
    "age(",
    "int(",
    "ip(",
    "labels[",
    "name",
    "restarts",
    ".spec.x",
    "é",
    "\u{10ffff}",
    "\u{0}",
    "İ",
    "ẞ",
    "\"metadata\":",
    "\"items\":",
    "\"kind\":",
    "{\"type\":",
    "\"object\":",
    "10.0.0.0/8",
    "::/0",
    "15m",
    "1h",
    "µs",
    "Z",
    "T24:00:00Z",
    "+23:59",
];

impl Corpus {
    fn seeds(self) -> &'static [&'static str] {
        match self {
            Self::Expressions => EXPRESSIONS,
            Self::Queries => QUERIES,
            Self::Labels => LABELS,
            Self::Fields => FIELDS,
            Self::Paths => PATHS,
            Self::Values => VALUES,
            Self::Bodies => BODIES,
            Self::Lists => LISTS,
            Self::Watches => WATCHES,
        }
    }
}

/// Inputs that a seed determines.
pub(crate) struct Source {
    state: u64,
}

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        // Any state but 0 will do.
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }

    fn pick<'s>(&mut self, from: &[&'s str]) -> &'s str {
        from[self.below(from.len())]
    }

    /// A damaged piece of the corpus; now and then an undamaged one.
    pub(crate) fn input(&mut self, corpus: Corpus) -> Vec<u8> {
        let mut input = self.pick(corpus.seeds()).as_bytes().to_vec();
        for _ in 0..self.below(8) {
            self.damage(&mut input, corpus);
        }
        input
    }

    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(input.len() + 1);
        let most = [4, 16, input.len()][self.below(3)];
        start..(start + self.below(most + 1)).min(input.len())
    }

    fn damage(&mut self, input: &mut Vec<u8>, corpus: Corpus) {
        let at = self.below(input.len() + 1);
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap_or(0),
            2 => {
                let range = self.range(input);
                input.drain(range);
            }
            3 => {
                // Repeated often enough to find what grows with depth or length.
                let range = self.range(input);
                let piece = input[range].to_vec();
                let times = [1, 2, 70, 1_000][self.below(4)];
                let piece = piece.repeat(times.min(20_000 / piece.len().max(1)));
                input.splice(at..at, piece);
            }
            4 => {
                let other = self.pick(corpus.seeds()).as_bytes().to_vec();
                let range = self.range(&other);
                input.splice(at..at, other[range].iter().copied());
            }
            5 => {
                let range = self.range(input);
                input.splice(range, self.pick(BITS).bytes());
            }
            6 => input.truncate(at),
            _ => {
                let bit = self.pick(BITS);
                input.splice(at..at, bit.bytes());
            }
        }
        input.truncate(100_000);
    }
}
