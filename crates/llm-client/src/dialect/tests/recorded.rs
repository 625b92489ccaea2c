use super::*;
#[test]
fn dump() {
    let dir = std::env::var("LLM_TEST_DATA").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(format!("{dir}/recorded/openai-chat"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for f in files {
        let body = std::fs::read(&f).unwrap();
        let name = f.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains("request") {
            continue;
        }
        println!("=== {name}");
        if name.ends_with(".sse") {
            let (events, result) = stream([&body[..]], &TARGET);
            println!("{} events, {result:?}", events.len());
            let r = collect(events);
            println!("{r:#?}");
        } else if name.contains("error") {
            let e = DIALECT.classify(
                http::StatusCode::BAD_REQUEST,
                &http::HeaderMap::new(),
                &body,
                &TARGET,
                Default::default(),
            );
            println!("{e:?}");
        } else {
            println!("{:#?}", DIALECT.decode_chat(&body, &TARGET));
        }
    }
}
