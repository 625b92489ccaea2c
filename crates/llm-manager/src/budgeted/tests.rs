//! Budgets by their promises: nothing is exceeded but by wrong estimates, nothing that was paid is lost or forgotten.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use llm_client::ModelClientExt as _;
use llm_types::{Choice, Money, Part, StreamEvent, Totals, Usage, UsageSource};
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::*;

/// A client that answers with so many tokens, or as it is told; each answer waits for a permit.
#[derive(Debug)]
struct Fake {
    capabilities: Capabilities,
    gate: Semaphore,
    calls: AtomicU64,
    answers: Mutex<Vec<Result<ChatResponse, Error>>>,
    /// Of each answer that is not told.
    usage: Option<Usage>,
    events: Mutex<Vec<Result<StreamEvent, Error>>>,
}

fn usage(input: u64, output: u64) -> Usage {
    Usage::from_totals(Totals { input, output, ..Totals::default() }, UsageSource::Reported)
}

impl Fake {
    fn new(usage: Option<Usage>) -> Arc<Self> {
        Arc::new(Self {
            capabilities: Capabilities::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            calls: AtomicU64::new(0),
            answers: Mutex::default(),
            usage,
            events: Mutex::default(),
        })
    }

    /// One whose answers have to be let out.
    fn gated(usage: Usage) -> Arc<Self> {
        let fake = Self::new(Some(usage));
        fake.gate.forget_permits(usize::MAX);
        fake
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn has_been_called(&self, times: u64) {
        for _ in 0..10_000 {
            if self.calls() >= times {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} calls in place of {times}", self.calls());
    }

    fn budgeted(self: &Arc<Self>, budget: &Arc<Budget>) -> Arc<Budgeted> {
        let builder = Budgeted::builder(Arc::clone(self) as Arc<dyn ModelClient>).price(price());
        Arc::new(builder.budget(Arc::clone(budget)).build().unwrap())
    }
}

#[async_trait]
impl ModelClient for Fake {
    fn id(&self) -> &str {
        "acme/m"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if let Some(told) = self.answers.lock().unwrap().pop() {
            return told;
        }
        let mut choice = Choice::new(0);
        choice.message.parts = vec![Part::text("yes")];
        Ok(ChatResponse { choices: vec![choice], usage: self.usage, ..ChatResponse::default() })
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        Ok(ChatStream::new(futures_util::stream::iter(events)))
    }
}

/// A millionth of a dollar for a token read, ten for one written.
fn price() -> Price {
    "1/10".parse().unwrap()
}

fn micro(n: u64) -> Money {
    Money::from_pico(u128::from(n) * 1_000_000)
}

/// Tokens of the prompt as they are estimated: 4 for the message, 26 of text.
fn request(max_tokens: u64) -> ChatRequest {
    ChatRequest { max_tokens: Some(max_tokens), ..ChatRequest::user("x".repeat(104)) }
}

fn text(text: &str) -> Result<StreamEvent, Error> {
    Ok(StreamEvent::Text { choice: 0, text: text.into() })
}

#[tokio::test]
async fn a_call_reserves_its_estimate_and_settles_with_what_it_used() {
    let budget = Budget::new("job", BudgetLimits::money(micro(1000)));
    let fake = Fake::gated(usage(20, 5));
    let client = fake.budgeted(&budget);
    let call = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.send(request(12)).await }
    });
    fake.has_been_called(1).await;
    assert_eq!(budget.reserved(), Spend { money: micro(30 + 120), tokens: 42 });
    assert_eq!(budget.remaining().money, Some(micro(850)));
    fake.gate.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap().text(), "yes");
    assert_eq!(budget.spent(), Spend { money: micro(20 + 50), tokens: 25 });
    assert_eq!(budget.reserved(), Spend::default());
    let json = serde_json::to_value(client.snapshot()).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "name": "job", "limits": {"money": "0.001", "tokens": null},
            "spent": {"money": "0.00007", "tokens": 25}, "reserved": {"money": "0.00", "tokens": 0},
            "remaining": {"money": "0.00093", "tokens": null}, "calls": 1, "estimated": 0, "unpriced": 0,
        }])
    );
}

#[tokio::test]
async fn a_call_that_no_longer_fits_is_not_sent_and_says_why() {
    let budget = Budget::new("job", BudgetLimits::money(micro(200)));
    let fake = Fake::new(Some(usage(30, 12)));
    let client = fake.budgeted(&budget);
    client.send(request(12)).await.unwrap();
    let error = client.send(request(12)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget);
    assert_eq!(
        error.message(),
        "budget `job` is used up: of $0.0002, $0.00015 spent and $0 reserved by calls in flight; this call may take $0.00015"
    );
    assert_eq!((error.provider(), error.model()), (Some("acme"), Some("m")));
    assert_eq!(fake.calls(), 1);
    // What fits still goes, and a larger limit helps at once.
    client.send(request(1)).await.unwrap();
    budget.set_limits(BudgetLimits::money(micro(1000)));
    client.send(request(12)).await.unwrap();
    // What it cost more than estimated is charged all the same, and nobody's answer was lost.
    assert_eq!(budget.spent().money, micro(450));
    budget.reset();
    assert_eq!(budget.spent(), Spend::default());
}

#[tokio::test]
async fn tokens_are_limited_alike_and_need_no_price() {
    let budget = Budget::new("job", BudgetLimits::tokens(100));
    let fake = Fake::new(Some(usage(30, 12)));
    let client = Budgeted::builder(fake.clone()).budget(budget.clone()).build().unwrap();
    for _ in 0..2 {
        client.send(request(12)).await.unwrap();
    }
    let error = client.send(request(12)).await.unwrap_err();
    assert_eq!(
        error.message(),
        "budget `job` is used up: of 100 tokens, 84 spent and 0 reserved by calls in flight; this call may take 42"
    );
    assert_eq!((budget.state().unpriced, budget.remaining().tokens), (2, Some(16)));
    // Money is limited later: what is unknown is not nothing.
    budget.set_limits(BudgetLimits::money(micro(1_000_000)));
    let error = client.send(request(12)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(fake.calls(), 2);
}

#[test]
fn money_cannot_be_limited_where_the_price_is_unknown() {
    let money = BudgetLimits::money(micro(1));
    let build = |price: Option<Price>, tagged: bool| {
        let mut builder = Budgeted::builder(Fake::new(None));
        if let Some(price) = price {
            builder = builder.price(price);
        }
        if tagged { builder.per_tag("team", money, 9) } else { builder.budget(Budget::new("job", money)) }
            .build()
    };
    let half = llm_types::Price { rates: price().rates.with(llm_types::Class::Output, None), ..price() };
    for (price, tagged) in [(None, false), (None, true), (Some(half), false)] {
        let error = build(price, tagged).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("the price of acme/m is not known"), "{error}");
    }
    assert!(build(Some(price()), true).is_ok());
}

#[tokio::test]
async fn what_is_only_reserved_is_waited_for_in_turn() {
    let budget = Budget::new("job", BudgetLimits::money(micro(290)));
    let fake = Fake::gated(usage(30, 1));
    let client = fake.budgeted(&budget);
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.chat(&request(12), &Call::default()).await })
        })
        .collect();
    for done in 1..=4 {
        fake.has_been_called(done).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fake.calls(), done, "the budget holds one estimate at a time");
        // Who may not wait, and who is driven, hears at once.
        let never = client.chat(&request(12), &Call::default().waiting(Wait::Never)).await.unwrap_err();
        let driven = client.chat(&request(12), &Call::default().driven()).await.unwrap_err();
        for error in [never, driven] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert_eq!(error.retry_after(), Some(SOON));
        }
        fake.gate.add_permits(1);
    }
    let mut ends = Vec::new();
    for call in calls {
        ends.push(call.await.unwrap().map(|response| response.text()).map_err(|error| error.kind()));
    }
    // 40 each: after four, 160 + 150 is more than there is, whatever becomes of the others.
    let yes = || Ok("yes".to_owned());
    assert_eq!(ends, [yes(), yes(), yes(), yes(), Err(ErrorKind::Budget)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_the_deadline_or_when_the_limit_is_raised() {
    let budget = Budget::new("job", BudgetLimits::money(micro(200)));
    let fake = Fake::gated(usage(30, 1));
    let client = fake.budgeted(&budget);
    let holder = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.send(request(12)).await }
    });
    fake.has_been_called(1).await;
    let started = clock::now();
    let late = client.chat(&request(12), &Call::within(Duration::from_secs(5))).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout(Phase::Call));
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    // Who waits is asked again when the limit changes, and the wait stands in the answer.
    let raised = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.send(request(12)).await }
    });
    tokio::time::sleep(Duration::from_secs(7)).await;
    budget.set_limits(BudgetLimits::default());
    fake.gate.add_permits(2);
    let response = raised.await.unwrap().unwrap();
    assert_eq!(response.timing.waited, Duration::from_secs(7));
    holder.await.unwrap().unwrap();
}

#[tokio::test]
async fn failures_settle_with_what_they_used() {
    let partial = ChatResponse { usage: Some(usage(30, 2)), ..ChatResponse::default() };
    for (error, spent, estimated) in [
        (Error::new(ErrorKind::RateLimited, "x").with_status(429), 0, 0),
        (Error::new(ErrorKind::Connection, "x"), 0, 0),
        (Error::new(ErrorKind::Truncated, "x").with_partial(partial.clone()), 50, 0),
        // Written in part, perhaps, and nobody knows how much: 30 in, 12 out.
        (Error::new(ErrorKind::Truncated, "x"), 150, 1),
        (Error::new(ErrorKind::Protocol, "x").with_partial(partial), 50, 0),
    ] {
        let budget = Budget::new("job", BudgetLimits::money(micro(1000)));
        let fake = Fake::new(None);
        fake.answers.lock().unwrap().push(Err(error.clone()));
        let failed = fake.budgeted(&budget).send(request(12)).await.unwrap_err();
        assert_eq!(failed.kind(), error.kind());
        let state = budget.state();
        assert_eq!((state.spent.money, state.estimated), (micro(spent), estimated), "{error:?}");
        assert_eq!(state.reserved, Spend::default());
    }
}

#[tokio::test]
async fn an_answer_without_usage_and_a_cancelled_call_are_charged_at_the_estimate() {
    let budget = Budget::new("job", BudgetLimits::default());
    let fake = Fake::new(None);
    fake.budgeted(&budget).send(request(12)).await.unwrap();
    assert_eq!((budget.spent().money, budget.state().estimated), (micro(150), 1));
    let gated = Fake::gated(usage(1, 1));
    let client = gated.budgeted(&budget);
    {
        let mut call = Box::pin(client.send(request(12)));
        assert!((&mut call).now_or_never().is_none());
        assert_eq!(budget.reserved().tokens, 42);
    }
    assert_eq!((budget.spent().money, budget.reserved()), (micro(300), Spend::default()));
}

#[tokio::test]
async fn a_stream_settles_at_its_end_where_it_breaks_and_where_it_is_dropped() {
    let told = || Ok(StreamEvent::Usage(usage(30, 7)));
    let cut = || Err(Error::new(ErrorKind::Truncated, "cut"));
    let long = || text(&"y".repeat(40));
    // The events, how many are read, what is charged, and whether that is an estimate.
    for (name, events, read, spent, estimated) in [
        ("whole", vec![long(), told(), Ok(StreamEvent::End)], 3, 100, 0),
        ("whole, usage not told", vec![long(), Ok(StreamEvent::End)], 2, 130, 1),
        ("broken after usage", vec![told(), text("abcd"), cut()], 3, 100, 0),
        ("broken", vec![long(), cut()], 2, 130, 1),
        ("dropped", vec![long(), long(), told(), Ok(StreamEvent::End)], 1, 130, 1),
        // Usage at the start says what was read; ten tokens have come since.
        ("dropped after usage", vec![told(), long(), long()], 2, 130, 1),
        ("dropped at once", vec![long()], 0, 30, 1),
    ] {
        let budget = Budget::new("job", BudgetLimits::money(micro(1000)));
        let fake = Fake::new(None);
        *fake.events.lock().unwrap() = events;
        let client = fake.budgeted(&budget);
        let mut stream = client.stream(request(50)).await.unwrap();
        assert_eq!(budget.reserved().money, micro(530), "{name}");
        for _ in 0..read {
            let _ = stream.next().await;
        }
        if read == 3 {
            assert_eq!(budget.reserved().tokens, 0, "{name}: settled before it is dropped");
        }
        drop(stream);
        let state = budget.state();
        assert_eq!((state.spent.money, state.estimated), (micro(spent), estimated), "{name}");
        assert_eq!(state.reserved, Spend::default(), "{name}");
    }
}

#[tokio::test]
async fn each_value_of_a_tag_has_a_ledger_and_their_number_is_bounded() {
    let fake = Fake::new(Some(usage(30, 12)));
    let builder = Budgeted::builder(fake.clone()).price(price());
    let client = builder.per_tag("team", BudgetLimits::money(micro(200)), 2).build().unwrap();
    let ask = async |team: &str| {
        let mut call = Call::default();
        call.tags.push(("team".into(), team.into()));
        client.chat(&request(12), &call).await.map_err(|error| error.message().to_owned())
    };
    ask("red").await.unwrap();
    assert!(ask("red").await.unwrap_err().starts_with("budget `team=red` is used up"));
    ask("blue").await.unwrap();
    ask("green").await.unwrap();
    assert!(ask("grey").await.unwrap_err().starts_with("budget `team (others)` is used up"));
    // Without the tag nothing is drawn.
    client.send(request(12)).await.unwrap();
    let names: Vec<_> = client.snapshot().into_iter().map(|state| state.name.to_string()).collect();
    assert_eq!(names, ["team (others)", "team=blue", "team=red"]);
    assert!(client.set_tag_limits("team", BudgetLimits::money(micro(1000))));
    assert!(!client.set_tag_limits("user", BudgetLimits::default()));
    ask("red").await.unwrap();
    ask("grey").await.unwrap();
}

#[tokio::test]
async fn where_one_budget_refuses_the_others_are_not_drawn_from() {
    let (wide, narrow) =
        (Budget::new("wide", BudgetLimits::default()), Budget::new("narrow", BudgetLimits::tokens(10)));
    let fake = Fake::new(Some(usage(30, 12)));
    let builder = Budgeted::builder(fake.clone()).price(price());
    let client = builder.budget(wide.clone()).budget(narrow).budget(wide.clone()).build().unwrap();
    let error = client.send(request(12)).await.unwrap_err();
    assert!(error.message().starts_with("budget `narrow` is used up: of 10 tokens"), "{error}");
    assert_eq!((wide.spent(), wide.reserved(), fake.calls()), (Spend::default(), Spend::default(), 0));
    assert_eq!(client.budgets().len(), 2, "named twice, drawn from once");
}

#[test]
fn declaring_a_budget_again_with_other_limits_is_an_error_and_an_update_is_not() {
    let budgets = Budgets::new();
    let first = budgets.declare("team", BudgetLimits::tokens(5)).unwrap();
    assert!(Arc::ptr_eq(&first, &budgets.declare("team", BudgetLimits::tokens(5)).unwrap()));
    let error = budgets.declare("team", BudgetLimits::tokens(6)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(Arc::ptr_eq(&first, &budgets.update("team", BudgetLimits::tokens(6))));
    assert_eq!(first.limits().tokens, Some(6));
    assert_eq!(budgets.update("other", BudgetLimits::default()).limits(), BudgetLimits::default());
    assert_eq!(budgets.snapshot().len(), 2);
    assert!(budgets.find("nobody").is_none());
}

#[test]
fn a_spent_budget_lets_nobody_in() {
    let budget = Budget::new("job", BudgetLimits::tokens(10));
    let client = Fake::new(None).budgeted(&budget);
    assert!(client.admission().is_none(), "the client below tells nothing");
    assert!(Admission::ready(&*client, clock::now(), false).is_ok());
    budget.settle(
        reservation::Amount::default(),
        Some(reservation::Charge {
            amount: reservation::Amount { money: None, tokens: 10 },
            is_estimate: false,
        }),
    );
    let refusal = Admission::ready(&*client, clock::now(), false).unwrap_err();
    assert_eq!((refusal.block, refusal.at), (Block::Parked(ErrorKind::Budget), None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Calls in parallel over two clients that share a budget. Where estimates are upper bounds, it is never exceeded; and
    /// what was charged is exactly what the answers said.
    #[test]
    fn calls_in_parallel_stay_within_the_budget(
        limit in 0..4000_u64,
        calls in prop::collection::vec((1..40_u64, 0..40_u64), 1..60),
        workers in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_time()
            .build()
            .unwrap();
        let budget = Budget::new("job", BudgetLimits::money(micro(limit)));
        let answered: u64 = runtime.block_on(async {
            let tasks: Vec<_> = calls
                .iter()
                .map(|&(most, used)| {
                    let used = used.min(most);
                    let client = Fake::new(Some(usage(30, used))).budgeted(&budget);
                    tokio::spawn(async move {
                        let result = client.chat(&request(most), &Call::default().waiting(Wait::Patient)).await;
                        match result {
                            Ok(response) => 30 + 10 * response.usage.unwrap().output_total(),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
                                0
                            }
                        }
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        prop_assert_eq!(budget.spent().money, micro(answered));
        prop_assert!(budget.spent().money <= micro(limit));
        prop_assert_eq!(budget.reserved(), Spend::default());
        // Nobody is refused while the smallest estimate would have fitted in the end.
        let refused = calls.len() as u64 > budget.state().calls;
        let largest = calls.iter().map(|(most, _)| 30 + 10 * most).max().unwrap_or_default();
        prop_assert!(!refused || budget.spent().money.plus(micro(largest)) > micro(limit));
    }
}

/// What an answer of a pool's dearer member says that it cost.
fn told(total: u64) -> llm_types::Cost {
    llm_types::Cost { total: micro(total), source: Some("told".into()), ..llm_types::Cost::default() }
}

#[tokio::test]
async fn a_stated_price_holds_and_a_usual_one_gives_way_to_what_the_answer_says() {
    // Twenty tokens read and five written are 70 at this price; the answer says 300, or nothing.
    for (is_stated, says, spent, written, estimated) in [
        (true, Some(told(300)), 70, Some(70), 0),
        (true, None, 70, Some(70), 0),
        (false, Some(told(300)), 300, Some(300), 0),
        (false, None, 70, None, 1),
    ] {
        for streamed in [false, true] {
            let budget = Budget::new("job", BudgetLimits::money(micro(1000)));
            let fake = Fake::new(None);
            let answer =
                ChatResponse { usage: Some(usage(20, 5)), cost: says.clone(), ..ChatResponse::default() };
            let mut events = vec![text("yes"), Ok(StreamEvent::Usage(usage(20, 5)))];
            events.extend(says.clone().map(|cost| Ok(StreamEvent::Cost(Box::new(cost)))));
            events.push(Ok(StreamEvent::End));
            *fake.events.lock().unwrap() = events;
            fake.answers.lock().unwrap().push(Ok(answer));
            let builder = Budgeted::builder(fake.clone() as Arc<dyn ModelClient>).budget(Arc::clone(&budget));
            let builder = if is_stated { builder.price(price()) } else { builder.usual_price(price()) };
            let client = builder.build().unwrap();
            let answer = if streamed {
                let events = events_of(client.stream(request(12)).await.unwrap()).await;
                let costs = events.iter().filter(|event| matches!(event, StreamEvent::Cost(_))).count();
                assert_eq!(costs, usize::from(written.is_some()), "{events:?}");
                assert!(matches!(events.last(), Some(StreamEvent::End)), "{events:?}");
                let mut collector = llm_types::Collector::new();
                events.into_iter().for_each(|event| collector.push(event));
                collector.finish()
            } else {
                client.send(request(12)).await.unwrap()
            };
            assert_eq!(
                answer.cost.map(|cost| cost.total),
                written.map(micro),
                "{is_stated} {says:?} {streamed}"
            );
            let state = budget.state();
            assert_eq!(
                (state.spent.money, state.estimated),
                (micro(spent), estimated),
                "{is_stated} {says:?}"
            );
        }
    }
}

async fn events_of(mut stream: ChatStream) -> Vec<StreamEvent> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    events
}
