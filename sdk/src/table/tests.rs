//! What good and bad tables read as.

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn read_as(
    name: &str,
    bytes: &[u8],
    columns: &[&str],
    options: &Options,
) -> Result<(Vec<Vec<String>>, Vec<u64>), String> {
    let file = File::memory(name, bytes);
    let reader = TableReader::open(&file, options).map_err(|problem| problem.to_string())?;
    let places: Result<Vec<_>, _> = columns.iter().map(|name| reader.column(name)).collect();
    let mut problems = Problems::new();
    let table = reader.read(&places.map_err(|problem| problem.to_string())?, &mut problems);
    if !problems.is_empty() {
        return Err(problems.to_string());
    }
    let row = |row| (0..columns.len()).map(|column| table.cell(row, column).to_owned()).collect();
    Ok(((0..table.len()).map(row).collect(), (0..table.len()).map(|row| table.line(row)).collect()))
}

fn read(name: &str, text: impl AsRef<[u8]>, columns: &[&str]) -> Result<(Vec<Vec<String>>, Vec<u64>), String> {
    read_as(name, text.as_ref(), columns, &Options::default())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn cells(rows: &[[&str; 2]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}

#[test]
fn every_dialect_reads_the_same() {
    let expected = cells(&[["1", "a,b"], ["2", "é"]]);
    let jsonl = "{\"id\": 1, \"x\": [1], \"y\": \"a,b\"}\n\n{\"y\": \"\\u00e9\", \"id\": 2, \"z\": {}}";
    for (name, text) in [
        ("a.csv", "id,x,y\n1,,\"a,b\"\n2,z,é\n"),
        ("a.csv", "\u{feff}id,x,y\r\n1,,\"a,b\"\r\n2,z,é"),
        ("a.csv", "id\tx\ty\n1\t\ta,b\n2\tz\té\n"),
        ("a.tsv", "id\tx\ty\n1\t\ta,b\n2\tz\té\n"),
        ("a", "id, x, y\n1,,\"a,b\"\n2,z,é\n"),
        ("a.jsonl", jsonl),
        ("a.txt", jsonl),
    ] {
        assert_eq!(read(name, text, &["id", "y"]).map(|(rows, _)| rows).as_ref(), Ok(&expected), "{text}");
        let packed = read(&format!("{name}.gz"), gzip(text.as_bytes()), &["id", "y"]);
        assert_eq!(packed.map(|(rows, _)| rows).as_ref(), Ok(&expected), "{text}");
    }
}

#[test]
fn lines_are_counted_through_blank_lines_and_quoted_breaks() {
    for end in ["\n", "\r\n"] {
        let text = ["id,y", "", "1,\"a", "", "b\"", "2,c", "", "", "3,\"d\"\"\""].join(end);
        let (rows, lines) = read("a.csv", &text, &["id", "y"]).unwrap();
        assert_eq!(lines, [3, 6, 9], "{text:?}");
        assert_eq!(rows[2][1], "d\"");
    }
    assert_eq!(read("a.jsonl", "{\"a\":1}\n\n{\"a\":2}", &["a"]).unwrap().1, [1, 3]);
}

#[test]
fn a_file_without_a_header_takes_names() {
    let options = Options::default().columns(&["label".to_owned()]);
    assert_eq!(read_as("a.csv", b"cat\ndog\n", &["label"], &options).unwrap().1, [1, 2]);
    let error = read_as("a.csv", b"cat\ndog,1\n", &["label"], &options).unwrap_err();
    assert_eq!(error, "a.csv:2: 2 columns instead of 1 (quote a field that holds a separator)");
    let error = read_as("a.csv", b"1,cat\n2,dog\n", &["label"], &options).unwrap_err();
    assert!(error.starts_with("a.csv:1: 2 columns instead of 1"), "{error}");
}

#[test]
fn what_is_no_table_says_so() {
    for (text, expected) in [
        (&b""[..], "a.csv: the file is empty"),
        (b"\n\n", "a.csv: the file has no rows"),
        (b"\xff\xfei\0d\0", "a.csv: the file is UTF-16; save it as UTF-8"),
        (b"PK\x03\x04....", "a.csv: the file is a zip archive or a spreadsheet; save the table as CSV"),
        (b"i\xffd\n1\n", "a.csv:1: the header is not UTF-8; save the file as UTF-8"),
        (b"ID,lable\n", "a.csv:1: no column `id` (did you mean `ID`?); the columns are `ID`, `lable`"),
        (b"x,id,id\n", "a.csv:1: column `id` is there twice"),
        (
            b"key;label\n",
            "a.csv:1: no column `id`; the columns are `key;label` (separate columns with commas or tabs, not semicolons)",
        ),
        (b"id\n1\n\xff\n", "a.csv:3: not UTF-8; save the file as UTF-8"),
        (b"id\n1\n1,2\n", "a.csv:3: 2 columns instead of 1 (quote a field that holds a separator)"),
        (b"id,x\n1,\"a\n2,b\n3,c,d\"", "a.csv: "),
    ] {
        let found = read("a.csv", text, &["id"]);
        match found {
            Err(found) => assert_eq!(found, expected),
            // An unclosed quote that happens to fit is a row; the join tells the missing ones.
            Ok((rows, _)) => assert_eq!((rows.len(), expected), (1, "a.csv: ")),
        }
    }
    let error = read("a.csv", "id,x\n1,\"a\n2,b\n3,c\nx\",y\n", &["id"]).unwrap_err();
    assert_eq!(error, "a.csv:2: 3 columns over 4 lines instead of 2 (is a quote not closed?)");
}

#[test]
fn json_lines_that_are_none_say_so() {
    for (text, expected) in [
        ("[1]", "a.jsonl:1: invalid type: sequence, expected a JSON object, such as {\"id\": 1, \"label\": \"cat\"}"),
        ("{\"id\": 1}\n{\"id\": ", "a.jsonl:2: not a JSON object: EOF while parsing a value at column 7"),
        ("{\"id\": 1}\n{\"ID\": 1}", "a.jsonl:2: no key `id`"),
        ("{\"id\": 1}\n{\"id\": [1]}", "a.jsonl:2: key `id`: a list or an object; a text or a number is needed"),
        ("{\"id\": 1}\n{\"id\": 1, \"id\": 2}", "a.jsonl:2: key `id` is there twice"),
        ("{\"id\": 1}\n{\"id\": 1} x", "a.jsonl:2: not a JSON object: trailing characters at column 11"),
        ("{\"x\": 1}", "a.jsonl:1: no column `id`; the columns are `x`"),
    ] {
        assert_eq!(read("a.jsonl", text, &["id"]).unwrap_err(), expected);
    }
}

#[test]
fn bounds_are_answered_with_a_sentence() {
    let long = format!("id\n{}\n", "x".repeat(3 << 20));
    assert_eq!(
        read("a.csv", &long, &["id"]).unwrap_err(),
        "a.csv:2: the record is longer than 1024 KiB (is a quote not closed?)"
    );
    let long = format!("{{\"id\": 1}}\n{{\"id\": \"{}\"}}", "x".repeat(3 << 20));
    assert_eq!(read("a.jsonl", &long, &["id"]).unwrap_err(), "a.jsonl:2: the line is longer than 1024 KiB");
    assert_eq!(read("a.csv", ",".repeat(100_000), &["id"]).unwrap_err(), "a.csv:1: more than 65536 columns");
    let bomb = gzip(&vec![b'\n'; 130 << 20]);
    assert!(bomb.len() < 1 << 20);
    let error = read("a.csv.gz", &bomb, &["id"]).unwrap_err();
    assert_eq!(error, "a.csv.gz: the table is larger than 128 MiB (unpacked); leave out what is not asked for");
    let few = Options { most_cells: 3, ..Options::default() };
    let error = read_as("a.csv", b"a,b\n1,2\n3,4\n", &["a", "b"], &few).unwrap_err();
    assert_eq!(error, "a.csv:3: more than 1 row cannot be scored");
    let cut = gzip(b"id\n1\n2\n");
    let error = read("a.csv.gz", &cut[..cut.len() - 9], &["id"]).unwrap_err();
    assert!(error.starts_with("a.csv.gz: the gzip data cannot be read: "), "{error}");
    assert_eq!(read("a.csv", gzip(&cut), &["id"]).unwrap_err(), "a.csv: the file is gzipped twice; pack it once");
}

#[test]
fn what_is_more_than_the_task_has_ends_the_reading() {
    let two = Options::default().expecting(2);
    let rows = |count: usize| "id\n".to_owned() + &"x\n".repeat(count);
    for (name, text) in [("a.csv", rows(1004)), ("a.jsonl", "{\"id\": 1}\n".repeat(1004))] {
        assert!(read_as(name, text.as_bytes(), &["id"], &two).is_ok(), "{name}");
    }
    let more = "more than 1004 rows, and the task has 2 rows; from here on nothing was read";
    for (name, text, line) in [("a.csv", rows(1 << 20), 1006), ("a.jsonl", "{\"id\": 1}\n".repeat(1 << 20), 1005)] {
        assert_eq!(read_as(name, text.as_bytes(), &["id"], &two).unwrap_err(), format!("{name}:{line}: {more}"));
    }
    // Bytes that are no rows.
    for (name, text) in [
        ("a.csv", "id\n1\n".to_owned() + &"\n".repeat(17 << 20)),
        ("a.csv", format!("id,x\n{}", format!("1,{}\n", "x".repeat(1 << 19)).repeat(40))),
        ("a.jsonl", "{\"id\": 1}\n".to_owned() + &" \n".repeat(9 << 20)),
    ] {
        let options = Options::default().expecting(100);
        let error = read_as(name, text.as_bytes(), &["id"], &options).unwrap_err();
        assert!(error.starts_with(&format!("{name}: the table is larger than 16 MiB")), "{error}");
        assert!(read_as(name, text.as_bytes(), &["id"], &Options::default()).is_ok());
    }
    let many = Options::default().expecting(1 << 20);
    assert_eq!((two.bytes_for(1), many.bytes_for(1), many.bytes_for(usize::MAX)), (16 << 20, 128 << 20, 128 << 20));
}

#[test]
fn gzip_members_are_one_file_and_hold_something() {
    let members = |parts: &[&str]| parts.iter().flat_map(|part| gzip(part.as_bytes())).collect::<Vec<_>>();
    let (rows, _) = read("a.csv.gz", members(&["id\n1", "2\n", "", "3\n", ""]), &["id"]).unwrap();
    assert_eq!(rows, [["12"], ["3"]]);
    let block = "1\n".repeat(1 << 10);
    assert!(read("a.csv.gz", members(&[&["id\n"][..], &vec![block.as_str(); 100]].concat()), &["id"]).is_ok());
    let error = read("a.csv.gz", members(&[&["id\n1\n"][..], &[""; 1000]].concat()), &["id"]).unwrap_err();
    assert_eq!(error, "a.csv.gz: the gzip data cannot be read: it has many members and little data; pack it in one");
}

#[test]
fn a_cell_that_is_too_long_is_its_rows_problem() {
    let options = Options::default().cells(3);
    let expected = ":3: column `y`: 4 bytes, and 3 are the most";
    for (name, text) in [
        ("a.csv", "y,z\nabc,long enough\nabcd,\n\"x\",y\n"),
        ("a.jsonl", "\n{\"y\": \"abc\", \"z\": \"long enough\"}\n{\"y\": 1234}\n"),
    ] {
        assert_eq!(read_as(name, text.as_bytes(), &["y"], &options).unwrap_err(), format!("{name}{expected}"));
    }
    let error = read_as("a.csv", b"x,y\n1,2\n1,abcd\n", &["x", "y"], &options).unwrap_err();
    assert_eq!(error, format!("a.csv{expected}"));
}

#[test]
fn the_door_looks_at_the_start_only() {
    for (text, rows) in [
        (format!("id\n{}bad,row\n", "1\n".repeat(1 << 20)), 110_000..110_001),
        (format!("id,x\n{}1\n", format!("1,{}\n", "x".repeat(997)).repeat(8000)), 4000..4500),
    ] {
        let file = File::memory("a.csv", text);
        let mut problems = Problems::new();
        let table = TableReader::open(&file, &Options::at_the_door()).unwrap().read(&[0], &mut problems);
        assert!(problems.is_empty() && !table.is_whole(), "{problems}");
        assert!(rows.contains(&table.len()), "{}", table.len());
    }
}

#[test]
fn a_record_begins_before_the_bound_or_not_at_all() {
    let text = "id\n1\n2\r\n\n\"3\"\n4\n";
    let (starts, file) = ([3, 5, 9, 13], File::memory("a.csv", text));
    let read = |options: &Options| {
        let mut problems = Problems::new();
        let table = TableReader::open(&file, options).unwrap().read(&[0], &mut problems);
        (table.len(), table.is_whole(), problems.is_empty())
    };
    for bound in 3..=text.len() + 1 {
        let begun = |bound: usize| starts.iter().filter(|start| **start < bound).count();
        let options = Options { enough_bytes: bound as u64, ..Options::default() };
        assert_eq!(read(&options), (begun(bound), bound > text.len(), true), "enough after {bound}");
        let (options, whole) = (Options { most_bytes: bound as u64, ..Options::default() }, bound >= text.len());
        assert_eq!(read(&options), (begun(bound + 1), whole, whole), "{bound} at most");
    }
}

#[test]
fn a_line_is_as_long_as_a_record_may_be() {
    let options = Options { longest_record: 8 << 10, ..Options::default() };
    for (before, long) in [("", 8 << 10), ("", (8 << 10) + 1), ("1\n", 20_000), ("\"1\"\n\n", 20_000)] {
        let file = File::memory("a.csv", format!("id\n{before}{}\n2\n", "x".repeat(long)));
        let mut problems = Problems::new();
        let table = TableReader::open(&file, &options).unwrap().read(&[0], &mut problems);
        let fits = long <= options.longest_record;
        assert_eq!((table.is_whole(), problems.is_empty()), (fits, fits), "{long}");
        let told = problems.first().iter().all(|problem| problem.message.contains("longer than 8 KiB"));
        assert!(told, "{problems:?}");
    }
}

#[test]
fn numbers_are_finite_and_in_range() {
    let file = File::memory("a.csv", "p\n0.5\n 1 \nNaN\n-inf\n1.5\nhalf\n1e999\n\"\"\n-0\n");
    let mut problems = Problems::new();
    let table = TableReader::open(&file, &Options::default()).unwrap().read(&[0], &mut problems);
    let numbers = table.numbers(0, 0.0..=1.0, &mut problems);
    assert_eq!((numbers[0], numbers[1], numbers[8]), (0.5, 1.0, 0.0));
    let texts: Vec<_> = problems.first().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "a.csv:4: column `p`: `NaN` is not a number: NaN cannot be scored",
            "a.csv:5: column `p`: `-inf` is not finite, or too large for a 64-bit float",
            "a.csv:6: column `p`: `1.5` is not between 0 and 1",
            "a.csv:7: column `p`: `half` is not a number; write it like 0.25 or 2.5e-1",
            "a.csv:8: column `p`: `1e999` is not finite, or too large for a 64-bit float",
            "a.csv:9: column `p`: `` is empty; a number is needed",
        ]
    );
}

fn ids(text: &str) -> Table {
    let file = File::memory("a.csv", text);
    TableReader::open(&file, &Options::default()).unwrap().read(&[0], &mut Problems::new())
}

#[test]
fn a_join_finds_each_row_once() {
    let (wanted, given) = (ids("id\n1\n2\n10\nx\n"), ids("id\nx\n10\n1\n2\n"));
    let mut problems = Problems::new();
    assert_eq!(join(&Index::new(&wanted, 0), &given, 0, &mut problems), [2, 3, 1, 0]);
    assert!(problems.is_empty());
    let given = ids("id\n2\n3\n2\nX\n1\n1\n");
    join(&Index::new(&wanted, 0), &given, 0, &mut problems);
    let texts: Vec<_> = problems.first().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "a.csv:3: id `3` is not one of the task's",
            "a.csv:4: id `2` is there already, on line 2",
            "a.csv:5: id `X` is not one of the task's",
            "a.csv:7: id `1` is there already, on line 6",
            "a.csv: no row for id `10`",
            "a.csv: no row for id `x`",
        ]
    );
    let mut problems = Problems::new();
    join(&Index::new(&ids("id\nc\na\nd\nb\n"), 0), &ids("id\nd\n"), 0, &mut problems);
    let missing: Vec<_> = problems.first().iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(missing, ["no row for id `a`", "no row for id `b`", "no row for id `c`"], "not in the other's order");
    let mut problems = Problems::new();
    Index::new(&given, 0).duplicates(&mut problems);
    assert_eq!(problems.to_string(), texts[1].clone() + "; " + &texts[3]);
}

#[test]
fn long_ids_are_told_apart() {
    let long = ["sample_0000001", "sample_0000002", "sample_000001"];
    let text = |ids: &[&str]| format!("id\n{}\n", ids.join("\n"));
    let (wanted, given) = (ids(&text(&long)), ids(&text(&[long[2], long[0], long[1]])));
    let mut problems = Problems::new();
    assert_eq!(join(&Index::new(&wanted, 0), &given, 0, &mut problems), [1, 2, 0]);
    let other = ["sample_0000003", "x".repeat(300).leak(), "x".repeat(301).leak()];
    let all = ids(&text(&[&long[..], &other[..]].concat()));
    let index = Index::new(&all, 0);
    assert_eq!(index.find(other[2]), Some(5));
    assert_eq!(index.find("sample_0000004"), None);
    index.duplicates(&mut problems);
    assert!(problems.is_empty());
}

#[test]
fn by_position_the_counts_agree() {
    let mut problems = Problems::new();
    assert_eq!(join_by_position(&ids("id\na\nb\n"), &ids("id\nx\ny\n"), &mut problems), [0, 1]);
    assert!(problems.is_empty());
    join_by_position(&ids("id\na\nb\n"), &ids("id\nx\n"), &mut problems);
    assert_eq!(problems.to_string(), "a.csv: 1 row instead of 2, in the task's order");
    let (file, mut problems) = (File::memory("a.csv", "id\n1\n2\n3\n4\n"), Problems::new());
    let few = Options { enough_rows: 3, ..Options::default() };
    let given = TableReader::open(&file, &few).unwrap().read(&[0], &mut problems);
    join_by_position(&ids("id\na\nb\n"), &given, &mut problems);
    assert_eq!(problems.to_string(), "a.csv: more than 2 rows instead of 2, in the task's order");
}

/// Reads whatever it is, to the end; what counts is that it returns.
fn survive(name: &str, bytes: &[u8]) {
    let file = File::memory(name, bytes);
    for options in [Options::default(), Options { longest_record: 64, most_columns: 3, ..Options::default() }] {
        let Ok(reader) = TableReader::open(&file, &options) else { continue };
        let places: Vec<usize> = (0..reader.header().len() + 1).collect();
        let mut problems = Problems::new();
        let table = reader.read(&places, &mut problems);
        for row in 0..table.len() + 1 {
            assert_eq!(table.cell(row, places.len()), "");
            assert!(row >= table.len() || table.line(row) >= 1);
        }
        table.numbers(0, 0.0..=1.0, &mut problems);
        let index = Index::new(&table, 0);
        index.duplicates(&mut problems);
        assert_eq!(join(&index, &table, 0, &mut problems).len(), table.len());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for name in ["a.csv", "a.jsonl", "a"] {
            survive(name, &bytes);
            survive(name, &gzip(&bytes));
        }
    }

    #[test]
    fn no_text_near_a_table_makes_it_panic(text in "[\u{feff}]?([a1\\-.,\t\"'{}:\\[\\]\\\\é\r\n ]|\"id\"|\"a\":1,|\r\n){0,80}") {
        for name in ["a.csv", "a.tsv", "a.jsonl", "a"] {
            survive(name, text.as_bytes());
        }
    }

    #[test]
    fn cells_come_back_as_they_went_in(rows in prop::collection::vec(prop::array::uniform3("[a-z,\"\n\réß ]{0,6}"), 1..20)) {
        let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |row: &[String; 3]| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\n";
        let text = "\"x\",\"y\",\"z\"\n".to_owned() + &rows.iter().map(line).collect::<String>();
        let (read, _) = read("a.csv", &text, &["z", "x"]).unwrap();
        let expected: Vec<_> = rows.iter().map(|row| vec![row[2].clone(), row[0].clone()]).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn lines_without_quotes_read_as_the_parser_reads_them(text in "([a1,\t ]|\n|\r\n|\r|\"a,\n\"|é){0,60}") {
        let text = "h,i\n".to_owned() + &text;
        let mut parser = csv_core::ReaderBuilder::new().build();
        let (mut input, mut expected) = (text.as_bytes(), Vec::new());
        loop {
            let (mut fields, mut ends) = ([0; 400], [0; 100]);
            let (mut length, mut count) = (0, 0);
            let result = loop {
                let (result, taken, written, ended) =
                    parser.read_record(input, &mut fields[length..], &mut ends[count..]);
                (input, length, count) = (&input[taken..], length + written, count + ended);
                if result != csv_core::ReadRecordResult::InputEmpty {
                    break result;
                }
            };
            if result == csv_core::ReadRecordResult::End {
                break;
            }
            if count == 2 {
                expected.push(String::from_utf8(fields[..length].to_vec()).unwrap());
            }
        }
        let file = File::memory("a.csv", text.as_str());
        let table = TableReader::open(&file, &Options::default()).unwrap().read(&[0, 1], &mut Problems::new());
        let read = (0..table.len()).map(|row| table.cell(row, 0).to_owned() + table.cell(row, 1));
        prop_assert_eq!(read.collect::<Vec<_>>(), expected[1..].to_vec());
    }

    #[test]
    fn ids_that_repeat_are_told_and_others_are_found(mut given in prop::collection::vec("[ab1]{1,3}", 1..12), sorted in 0..3) {
        match sorted {
            0 => given.sort(),
            1 => given.sort_by(|a, b| a.len().cmp(&b.len()).then(a.cmp(b))),
            _ => {}
        }
        let table = ids(&("id\n".to_owned() + &given.join("\n") + "\n"));
        let index = Index::new(&table, 0);
        let first = |id: &String| given.iter().position(|other| other == id);
        let repeated: Vec<_> = (0..given.len()).filter(|row| first(&given[*row]) != Some(*row)).collect();
        let mut problems = Problems::new();
        index.duplicates(&mut problems);
        let told: Vec<_> = problems.first().iter().filter_map(|problem| problem.line).collect();
        prop_assert_eq!(told, repeated.iter().map(|row| *row as u64 + 2).collect::<Vec<_>>());
        for id in given.iter().chain([&"b1a1".to_owned()]) {
            prop_assert_eq!(index.find(id), first(id));
        }
    }

    #[test]
    fn gzip_that_was_tampered_with_is_survived(text in "(a,b\n){0,50}", at in 0_usize..200, byte in any::<u8>()) {
        let mut packed = gzip(text.as_bytes());
        let at = at % packed.len();
        packed[at] = byte;
        survive("a.csv.gz", &packed);
    }
}
