//! Keeps the conversations of chatbots and agents: who said what, when, with which model.
