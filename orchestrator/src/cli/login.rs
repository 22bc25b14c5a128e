//! `lcctl login`: a link that opens the dashboard.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use clap::Args;
use protocol::view::LoginLink;
use serde::Serialize;

/// Print a link that opens the dashboard, once, within five minutes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  xdg-open $(lcctl login)")]
pub(super) struct Login;

impl Login {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        context.out.answer(&Link(&client.login_link().await?))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Link<'a>(&'a LoginLink);

impl View for Link<'_> {
    fn table(&self, _screen: Screen) -> String {
        self.0.url.clone()
    }

    fn brief(&self) -> String {
        self.0.url.clone()
    }
}
