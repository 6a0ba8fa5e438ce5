//! The one loop that moves pipelines from trigger to settled.
