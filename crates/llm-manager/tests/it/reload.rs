//! A second load over the state of the first: keys, limits, budgets.

use std::sync::Arc;

use llm_client::lane::Registry;
use llm_manager::Manager;
use llm_manager::config::Loaded;
use llm_types::{ErrorKind, Money, Secret};

use crate::support::Lab;

/// Loads the text over what the loaded one stands on.
fn again(lab: Lab, text: &str, before: &Loaded) -> (Lab, Loaded) {
    let mut lab = lab.user(text);
    lab.args.shared = Some(before.shared().clone());
    lab.args.budgets = Some(before.budgets().clone());
    let loaded = lab.load().unwrap();
    (lab, loaded)
}

/// Whether the pool of this name holds exactly these keys.
fn holds(lanes: &Registry, provider: &str, at: &str, keys: &[&str]) -> bool {
    let keys = keys.iter().map(|key| Secret::new(*key)).collect();
    lanes.key_pool(&format!("{provider} (configured: {provider} at {at})"), keys).is_ok()
}

#[test]
fn keys_that_are_gone_from_the_file_are_not_used_any_more() {
    let at = "http://127.0.0.1:1/v1";
    let both = "[providers.x]\nbase_url = 'http://127.0.0.1:1/v1'\napi_keys = ['sk-one', 'sk-two']\n[providers.y]\nbase_url = \
                'http://127.0.0.1:2/v1'\napi_key = 'sk-y'";
    let lab = Lab::new().user(both);
    let first = lab.load().unwrap();
    let running = Manager::new();
    assert!(first.take_over(&running).is_empty());
    let (x, y) = (running.client("x/m").unwrap(), running.client("y/m").unwrap());
    let lanes = first.shared().lanes().clone();
    assert!(holds(&lanes, "x", at, &["sk-one", "sk-two"]));
    assert!(holds(&lanes, "y", "http://127.0.0.1:2/v1", &["sk-y"]));

    // A line more above, a key less, and a provider is gone.
    let less = "# Less.\n[providers.x]\nbase_url = 'http://127.0.0.1:1/v1'\napi_keys = ['sk-two']";
    let (_lab, second) = again(lab, less, &first);
    assert!(Arc::ptr_eq(first.shared(), second.shared()));
    assert!(second.take_over(&running).is_empty());
    assert!(holds(&lanes, "x", at, &["sk-two"]));
    // The old client is held, and its pool is empty.
    assert!(!holds(&lanes, "y", "http://127.0.0.1:2/v1", &["sk-y"]));
    assert_eq!(running.client("y/m").unwrap_err().kind(), ErrorKind::ModelNotFound);
    drop((x, y));
}

#[test]
fn keys_below_a_pool_follow_the_file_and_an_empty_list_takes_them_away() {
    let at = "http://127.0.0.1:1/v1";
    let text = |keys: &str| {
        format!(
            "[providers.x]\nbase_url = '{at}'\napi_keys = [{keys}]\n[providers.x.models.m]\n[pools.p]\nmembers = ['m']\n"
        )
    };
    let lab = Lab::new().user(&text("'sk-one'"));
    let first = lab.load().unwrap();
    let running = Manager::new();
    first.take_over(&running);
    // Nobody asks for the model itself.
    let _pool = running.client("p").unwrap();
    let lanes = first.shared().lanes().clone();
    assert!(holds(&lanes, "x", at, &["sk-one"]));
    let (lab, second) = again(
        lab,
        &format!("[providers.x]\nbase_url = '{at}'\napi_keys = ['sk-two']\n[providers.x.models.m]\n"),
        &first,
    );
    second.take_over(&running);
    assert!(holds(&lanes, "x", at, &["sk-two"]));
    let (_lab, third) = again(lab, &text(""), &second);
    third.take_over(&running);
    assert!(!holds(&lanes, "x", at, &["sk-two"]));
}

#[test]
fn a_manager_that_was_loaded_lets_the_first_configuration_go() {
    let provider = |name: &str| {
        format!("[providers.{name}]\nbase_url = 'http://127.0.0.1:1/v1'\napi_key = 'sk-{name}'\n")
    };
    let lab = Lab::new().user(&provider("old"));
    let first = lab.load().unwrap();
    // As a service does it: the manager of the first load is the one that runs.
    let running = first.manager.clone();
    let _client = running.client("old/m").unwrap();
    running.set_alias("mine", "deepseek/deepseek-chat").unwrap();
    let (_lab, second) = again(lab, &provider("new"), &first);
    second.take_over(&running);
    assert!(running.provider("old").is_none(), "it stands in no file any more");
    assert!(running.provider("new").is_some());
    assert!(running.resolve("mine").is_ok(), "what was done by hand stays");
}

#[test]
fn keys_of_endpoints_do_not_mix_even_on_one_line() {
    let text = "[providers.x]\nendpoints = [{ base_url = 'http://127.0.0.1:1/v1', api_key = 'sk-one' }, { base_url = \
                'http://127.0.0.1:2/v1', api_key = 'sk-two' }, { base_url = 'http://127.0.0.1:1/v1', api_key = 'sk-3' }]";
    let loaded = Lab::new().user(text).load().unwrap();
    let _client = loaded.manager.client("x/m").unwrap();
    let lanes = loaded.shared().lanes();
    for (at, port, key) in [(0, 1, "sk-one"), (1, 2, "sk-two"), (2, 1, "sk-3")] {
        let id = format!("x (configured: x[{at}] at http://127.0.0.1:{port}/v1)");
        lanes.key_pool(&id, vec![Secret::new(key)]).unwrap();
    }
}

#[test]
fn shared_limits_are_updated_in_place() {
    let text = |most: u32| {
        format!(
            "[limits.team]\nmax_concurrent_calls = {most}\nrequests_per_minute = 60\nrequests_burst = 5\n[providers.x]\n\
             base_url = 'http://127.0.0.1:1/v1'\nlimit = 'team'\n[providers.y]\nendpoints = [{{ base_url = \
             'http://127.0.0.1:2/v1', limit = 'team' }}, {{ base_url = 'http://127.0.0.1:3/v1' }}]\n[providers.y.models.m]\n\
             limit = 'team'"
        )
    };
    let lab = Lab::new().user(&text(3));
    let first = lab.load().unwrap();
    let running = Manager::new();
    first.take_over(&running);
    let _clients = (running.client("x/m").unwrap(), running.client("y/m").unwrap());
    let most = |loaded: &Loaded| {
        let states = loaded.shared().lanes().limits(llm_client::clock::now());
        let [team] = &states[..] else { panic!("{states:?}") };
        assert_eq!(&*team.name, "team");
        team.max_concurrent_calls
    };
    assert_eq!(most(&first), Some(3));
    let (_lab, second) = again(lab, &text(7), &first);
    assert_eq!(most(&second), Some(3), "a load that nobody took over changes nothing");
    second.take_over(&running);
    assert_eq!(most(&second), Some(7));
}

const MONEY: &str = "[providers.x]\nbase_url = 'http://127.0.0.1:1/v1'\n[providers.x.models.m]\nprice = { input = 0.15, output \
                     = '0.60' }\n[providers.x.models.free]\n[pools.p]\nmembers = ['m', 'free']\n";

#[test]
fn budgets_keep_what_was_spent_and_take_new_limits() {
    let lab = Lab::new().user(&format!("{MONEY}[budgets.all]\nmax_cost_usd = '1.50'\nmodels = ['m']"));
    let first = lab.load().unwrap();
    let budget = first.budgets().find("all").unwrap();
    assert_eq!(budget.limits().money, Some("1.50".parse::<Money>().unwrap()));
    assert!(format!("{:?}", first.manager.client("x/m").unwrap()).starts_with("Budgeted"));
    assert!(!format!("{:?}", first.manager.client("x/free").unwrap()).starts_with("Budgeted"));
    let (_lab, second) = again(lab, &format!("{MONEY}[budgets.all]\nmax_tokens = 9"), &first);
    let after = second.budgets().find("all").unwrap();
    assert!(Arc::ptr_eq(&budget, &after));
    assert_eq!((after.limits().money, after.limits().tokens), (None, Some(9)));
}

#[test]
fn a_budget_of_money_needs_a_price() {
    let text = format!("{MONEY}[budgets.all]\nmax_cost_usd = 1\nper = 'client'\nmodels = ['p']");
    let manager = Lab::new().user(&text).load().unwrap().manager;
    // By itself, the model is not in the budget.
    manager.client("free").unwrap();
    let error = manager.client("pool/p").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("limits money, and the price of x/free is not known"), "{error}");
    assert!(error.hint().unwrap().starts_with("write price = { input"));
    let tokens = text.replace("max_cost_usd", "max_tokens");
    let loaded = Lab::new().user(&tokens).load().unwrap();
    loaded.manager.client("pool/p").unwrap();
    let names: Vec<String> = loaded.budgets().snapshot().iter().map(|state| state.name.to_string()).collect();
    assert_eq!(names, ["all (x/free)", "all (x/m)"]);
}
